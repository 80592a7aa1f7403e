# mixop with its extras, on a CPU, as the user who asks, so that runs are theirs:
#
#   docker build -t mixop .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" mixop find digits --minutes 2
#
# PIP_FLAGS names another index, as that of a build of torch for a CPU or for your CUDA:
#   docker build --build-arg PIP_FLAGS="--extra-index-url INDEX" -t mixop .
FROM python:3.12-slim

ARG PIP_FLAGS=""

# The fused executor compiles its kernels on this machine's processor at first use.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

COPY . /tmp/mixop
RUN pip install --no-cache-dir $PIP_FLAGS -c /tmp/mixop/constraints.txt "/tmp/mixop[hpo,graphs,images,tensorboard,wandb,mlflow,frames,onnx]" \
    && rm -rf /tmp/mixop

# Whatever the user, there is a place for caches, and a name that libraries ask for.
ENV HOME=/tmp USER=mixop
USER 1000
WORKDIR /work
ENTRYPOINT ["mixop"]
CMD ["--help"]

// What the kernels spend their time on: nanoseconds of the processor, by part of the work and thread.
#pragma once
#include <cstdint>
#include <ctime>

enum Part {  // named by mixop.supernet.kernel.PARTS
  POINTWISE_PRODUCTS, DENSE_PRODUCTS, MATRIX_GRADIENTS, DEPTHWISE_CONVOLUTIONS, DEPTHWISE_GRADIENTS, NORMS, POOLS, NODES, PARTS
};

static thread_local int64_t* spent = nullptr;  // of this thread, one number for each part; null where nobody asks

// Adds what the thread computes in its lifetime to one part. Waiting does not count, so that a busy machine changes little.
class Timed {
  int64_t *at, begin;

  static int64_t now() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
  }

 public:
  explicit Timed(Part part) : at(spent ? spent + part : nullptr), begin(at ? now() : 0) {}
  ~Timed() { if (at) *at += now() - begin; }
};

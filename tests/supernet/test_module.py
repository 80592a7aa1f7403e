"""The supernet of a model of one's own against the plain executor of the equal cell space, in float64."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from killed import CONTEXT
from own_nets import Cell, Flat, Small
from torch.func import functional_call, vmap
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from mixop.bilevel.second_order import SecondOrder
from mixop.core.errors import SpaceError
from mixop.core.types import Batch
from mixop.engine.problem import SupernetProblem
from mixop.engine.score import one_path
from mixop.nets.discrete import build
from mixop.nets.modules.space import in_module
from mixop.nets.modules.weights import sliced
from mixop.nets.ops import BatchNorm
from mixop.recipes import darts
from mixop.relax.softmax import Softmax
from mixop.spaces import nasbench201
from mixop.supernet.module import module_supernet
from mixop.supernet.plain import plain
from mixop.tasks.classification import Classification

CELLS = nasbench201(channels=4, cells=1, stages=1, input_shape=(3, 8, 8), outputs=5)
MODEL = in_module(Cell)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def by_the_cells_names(name):
    """What the plain executor calls a tensor of the model."""
    name = name.removeprefix("model.")
    name = name.replace("stem.", "layers.0.").replace("norm.", "layers.2.norm.").replace("linear.", "layers.2.linear.")
    for number, option in enumerate(Cell.operations(4)):
        name = name.replace(f".options.{option}.", f".options.{number}.")
    return f"layers.1.{name}" if name.startswith("edges.") else name


@pytest.fixture(params=[True, False], ids=["statistics kept", "of each batch"])
def pair(request):
    """The two supernets with the same weights, mixing weights of both, and images."""
    norm = BatchNorm(track=request.param)
    cells = plain(CELLS, norm=norm, generator=generator()).double()
    model = module_supernet(MODEL, norm=norm, generator=generator(1)).double()
    assert {by_the_cells_names(name) for name in model.state_dict()} == cells.state_dict().keys()
    model.load_state_dict({name: cells.state_dict()[by_the_cells_names(name)].clone() for name in model.state_dict()})
    rows = torch.randn(6, 5, dtype=torch.float64, generator=generator(2)).softmax(-1).requires_grad_()
    x = torch.randn(6, 3, 8, 8, dtype=torch.float64, generator=generator(3))
    return cells, model, rows, x


def mixes(rows):
    return {"cell": rows}, {f"edges.{e}": rows[e : e + 1] for e in range(6)}


def equal_states(cells, model):
    theirs = cells.state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, theirs[by_the_cells_names(name)], msg=name)


def test_outputs_gradients_and_statistics_are_those_of_the_cell(pair):
    cells, model, rows, x = pair
    weights, slopes = [], []
    for net, mix in zip((cells, model), mixes(rows), strict=True):
        outputs = net(x, mix)
        loss = cross_entropy(outputs, torch.arange(6) % 5)
        named = dict(net.named_parameters())
        (slope, *grads) = torch.autograd.grad(loss, [rows, *named.values()])
        slopes.append((outputs.detach(), slope))
        weights.append(dict(zip(named, grads, strict=True)))
    torch.testing.assert_close(slopes[0], slopes[1])
    for name, grad in weights[1].items():
        torch.testing.assert_close(grad, weights[0][by_the_cells_names(name)], msg=name)
    equal_states(cells, model)  # statistics followed the pass alike
    for net, mix in zip((cells.eval(), model.eval()), mixes(rows), strict=True):
        slopes.append((net(x, mix), rows))
    torch.testing.assert_close(slopes[2], slopes[3])


def test_paths_idle_weights_and_the_gradient_of_what_does_not_run_are_those_of_the_cell(pair):
    cells, model, rows, x = pair
    taken = (0, 3, 2, 1, 4, 3)
    one = torch.nn.functional.one_hot(torch.tensor(taken), 5).double()
    hard = one + rows - rows.detach()  # as straight-through draws have it
    paths = {"cell": tuple((o,) for o in taken)}, {f"edges.{e}": ((o,),) for e, o in enumerate(taken)}
    found = []
    for net, mix, active in zip((cells, model), mixes(hard), paths, strict=True):
        outputs = net(x, mix, active)
        (slope,) = torch.autograd.grad(outputs.square().sum(), rows, retain_graph=True)
        found.append((outputs.detach(), slope))
    torch.testing.assert_close(found[0], found[1])
    names = {id(p): name for name, p in cells.named_parameters()}
    mine = {id(p): by_the_cells_names(name) for name, p in model.named_parameters()}
    assert {mine[id(p)] for p, _ in model.idle(paths[1])} == {names[id(p)] for p, _ in cells.idle(paths[0])}
    assert len(model.idle(paths[1])) == 6 * 6 - 3 * 3  # six convolutional tensors an edge, three edges take one of the two
    equal_states(cells, model)


@pytest.mark.parametrize("method", ["exact", "finite_difference"])
def test_the_unrolled_hypergradient_is_that_of_the_cell(pair, method):
    cells, model, rows, x = pair
    y = torch.arange(6) % 5
    recipe = darts()
    found = []
    for net, params in zip((cells, model), mixes(rows.detach()), strict=True):
        optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=3e-4)
        problem = SupernetProblem(net, Classification(classes=tuple("abcde")), recipe, Softmax(), optimiser, generator(), {})
        params = {name: value.clone() for name, value in params.items()}
        found.append(SecondOrder(method=method)(problem, params, Batch(x, y), Batch(x.flip(0), y)))
    torch.testing.assert_close(found[0]["cell"], torch.cat([found[1][f"edges.{e}"] for e in range(6)]))


@pytest.mark.parametrize("make", [Small, Flat, Cell])
def test_a_one_hot_mix_is_the_network_that_is_built(make):
    space = in_module(make)
    net = module_supernet(space, norm=BatchNorm(), generator=generator()).double()
    x = torch.randn(4, 3 if make is Cell else 1, 6, 6, dtype=torch.float64, generator=generator(1))
    like = {g.name: torch.zeros(g.shape, dtype=torch.float64) for g in space.groups}
    net(x, {name: torch.full_like(value, 0.3) for name, value in like.items()})  # some statistics
    net.eval()
    for number, architecture in enumerate(space.architectures()):
        if number % (1 if make is not Cell else 997):
            continue
        mix, active = one_path(space, architecture, like)
        network = build(architecture, space, generator=generator()).double().eval()
        state = {name.removeprefix("model."): value for name, value in net.state_dict().items()}
        network.load_state_dict(sliced(space, architecture, state))
        assert not any(type(module).__module__.startswith("mixop") for module in network.modules())
        torch.testing.assert_close(net(x, mix, active), network(x))
        if all(active[group.name] != ((),) for group in space.groups):  # in a whole mixture everything runs
            torch.testing.assert_close(net(x, mix), network(x))


def test_passes_are_functions_of_their_arguments():
    net = module_supernet(MODEL, norm=BatchNorm(track=False), generator=generator()).double()
    x = torch.randn(4, 3, 6, 6, dtype=torch.float64, generator=generator(1))
    rows = torch.randn(5, 6, 5, dtype=torch.float64, generator=generator(2)).softmax(-1)
    alone = [net(x, mixes(row)[1]) for row in rows]
    weights = {name: value.detach() * 1.5 for name, value in net.named_parameters()}
    moved = functional_call(net, weights, (x, mixes(rows[0])[1]))
    assert not torch.equal(moved, alone[0])
    assert torch.equal(net(x, mixes(rows[0])[1]), alone[0])
    together = vmap(lambda row: net(x, {f"edges.{e}": row[e : e + 1] for e in range(6)}))(rows)
    torch.testing.assert_close(together, torch.stack(alone))


def test_two_threads_run_two_mixes_of_one_net():
    net = module_supernet(MODEL, norm=BatchNorm(track=False), generator=generator()).eval()
    x = torch.randn(2, 3, 8, 8, generator=generator(1))
    rows = [torch.randn(6, 5, generator=generator(seed)).softmax(-1) for seed in (2, 3)]
    with torch.no_grad():
        alone = [net(x, mixes(row)[1]) for row in rows]
    barrier, wrong = threading.Barrier(2), []

    def run(row, want):
        barrier.wait()
        with torch.no_grad():
            wrong.extend(k for k in range(30) if not torch.allclose(net(x, mixes(row)[1]), want))

    threads = [threading.Thread(target=run, args=pair) for pair in zip(rows, alone, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_replicas_read_the_mix_of_the_pass_that_they_are_in():
    """As `torch.nn.DataParallel` runs them: a copy of the network and a part of the batch in each thread."""
    net = module_supernet(MODEL, norm=BatchNorm(), generator=generator()).eval()  # nothing looks across the batch
    x = torch.randn(4, 3, 8, 8, generator=generator(1))
    mix = mixes(torch.randn(6, 5, generator=generator(2)).softmax(-1))[1]
    replicas = [(copy.deepcopy(net), part) for part in x.chunk(2)]

    def run(replica, part):
        with torch.no_grad():
            return replica(part, mix)

    with ThreadPoolExecutor(2) as threads, torch.no_grad():
        parts = threads.map(run, *zip(*replicas, strict=True))
        torch.testing.assert_close(torch.cat(list(parts)), net(x, mix))


def test_a_choice_whose_options_do_not_run_is_named():
    net = module_supernet(in_module(Flat), norm=BatchNorm(), generator=generator())
    mix = {g.name: torch.zeros(g.shape) for g in net.groups}
    with pytest.raises(SpaceError, match=r"blocks\.1 was reached, but no option"):
        net(torch.randn(2, 1, 4, 4), mix, {"blocks.0": ((0,),), "blocks.1": ((),)})


def _half(rank, place, pipe):
    """The gradients of one of two processes, each with half of a batch. Its batch norms have kept statistics."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=2)
    try:
        space, x, mix = _divided()
        net = DistributedDataParallel(module_supernet(space, norm=BatchNorm(), generator=generator()).double().eval())
        net(x[rank::2], mix).square().mean().backward()
        rows = torch.cat([row.grad.flatten() for row in mix.values()])
        torch.distributed.all_reduce(rows)
        pipe.send([tensor.numpy() for tensor in (rows / 2, *(p.grad for p in net.parameters()))])
    finally:
        torch.distributed.destroy_process_group()


def _divided():
    x = torch.randn(8, 1, 4, 4, dtype=torch.float64, generator=generator(1))
    space = in_module(Flat, x[:2].float())
    rows = {g.name: torch.randn(g.shape, generator=generator(n)).double().softmax(-1) for n, g in enumerate(space.groups)}
    mix = {name: row.requires_grad_() for name, row in rows.items()}
    return space, x, mix


@pytest.mark.slow  # two processes that load torch.distributed
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this build of torch has no torch.distributed")
def test_a_batch_divided_among_processes_gives_the_gradients_of_the_whole(tmp_path):
    space, x, mix = _divided()
    net = module_supernet(space, norm=BatchNorm(), generator=generator()).double().eval()
    net(x, mix).square().mean().backward()
    whole = [torch.cat([row.grad.flatten() for row in mix.values()]), *(p.grad for p in net.parameters())]
    ends = [CONTEXT.Pipe() for _ in range(2)]
    workers = [CONTEXT.Process(target=_half, args=(n, tmp_path / "meet", end[1])) for n, end in enumerate(ends)]
    for worker in workers:
        worker.start()
    for (ours, theirs), worker in zip(ends, workers, strict=True):
        theirs.close()
        for one, other in zip(ours.recv(), whole, strict=True):
            torch.testing.assert_close(torch.from_numpy(one), other)
        worker.join()
        ours.close()
        worker.close()

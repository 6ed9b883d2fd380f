"""Threads, interruption, and depth: what happens beside and inside of long calls."""

import os
import subprocess
import sys
import textwrap
import threading

import pytest
import rushlight

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(rushlight.__file__)))


def script(text, **options):
    """Runs a program in a fresh interpreter."""
    environment = {**os.environ, "PYTHONPATH": ROOT}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, timeout=120, env=environment, **options
    )


def in_threads(*works):
    """Runs the works side by side; raises the first exception of any."""
    errors = []

    def guarded(work):
        try:
            work()
        except BaseException as e:  # noqa: BLE001
            errors.append(e)

    threads = [threading.Thread(target=guarded, args=(w,)) for w in works]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def test_the_interpreter_goes_on_during_long_calls():
    """While two threads are inside of products, a third one counts."""
    a, inside, counted, done = rushlight.ones(1200, 1200), [0], [0], threading.Event()

    def multiply():
        for _ in range(3):
            before = counted[0]
            rushlight.matmul(a, a)
            inside[0] += counted[0] - before

    def count():
        while not done.is_set():
            counted[0] += 1

    counter = threading.Thread(target=count)
    counter.start()
    in_threads(multiply, multiply)
    done.set()
    counter.join()
    assert inside[0] > 1000


def test_the_interpreter_goes_on_during_backward():
    a = rushlight.ones(800, 800, requires_grad=True)
    y = (a @ a @ a).sum()
    counted, before, done = [0], [0], threading.Event()

    def count():
        while not done.is_set():
            counted[0] += 1

    counter = threading.Thread(target=count)
    counter.start()
    before[0] = counted[0]
    y.backward()
    after = counted[0]
    done.set()
    counter.join()
    assert after - before[0] > 1000


def test_many_threads_share_tensors():
    """Reads, in-place writes, views, gradients and attributes of the same tensors, all at once: no crash, no torn result."""
    shared = rushlight.zeros(64, 64)
    w = rushlight.ones(64, requires_grad=True)

    def write():
        for i in range(150):
            shared.fill_(float(i))
            shared[3] += 1
            shared.t()[2].mul_(0)

    def read():
        for _ in range(150):
            assert shared.sum().item() >= 0
            shared.clone().tolist()
            repr(shared)
            bytes(memoryview(shared[:2]))

    def learn():
        for _ in range(100):
            (w * shared.detach().clone()).mean().backward()
            w.grad  # noqa: B018

    def identity():
        for _ in range(300):
            g = w.grad
            assert g is None or isinstance(g, rushlight.Tensor)
            shared.mark = threading.get_ident()

    in_threads(write, write, read, read, learn, learn, identity, identity)
    assert w.grad.shape == (64,)


def test_grads_of_threads_add_up():
    w = rushlight.zeros(4, requires_grad=True)

    def learn():
        for _ in range(200):
            (w * 1).sum().backward()

    in_threads(*[learn] * 4)
    assert w.grad.tolist() == [800.0] * 4


def test_grad_mode_belongs_to_a_thread():
    seen = []
    with rushlight.no_grad():
        in_threads(lambda: seen.append(rushlight.is_grad_enabled()), lambda: rushlight._C._set_grad_enabled(False))
        assert not rushlight.is_grad_enabled()
    assert seen == [True] and rushlight.is_grad_enabled()


def test_hooks_of_two_threads_raise_their_own():
    def learn(kind):
        def work():
            for _ in range(50):
                x = rushlight.ones(2, requires_grad=True)

                def hook(g):
                    raise kind(kind.__name__)

                x.register_hook(hook)
                with pytest.raises(kind, match=kind.__name__):
                    x.sum().backward()

        return work

    in_threads(learn(KeyError), learn(ZeroDivisionError), learn(LookupError))


# ---- depth ----------------------------------------------------------------------------------------------------------------------------


def test_deep_graph():
    x = rushlight.ones(1, requires_grad=True)
    y = x
    for _ in range(200_000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1


def test_deep_graph_is_dropped_without_recursion():
    """In a thread with a small stack."""

    def work():
        x = rushlight.ones(1, requires_grad=True)
        y = x
        for _ in range(200_000):
            y = y * 1
        del y

    old = threading.stack_size(256 * 1024)
    try:
        in_threads(work)
    finally:
        threading.stack_size(old)


# ---- Ctrl-C -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_interrupt_ends_a_backward_pass():
    """The signal is sent from inside of the pass, by its first hook; the pass must not reach its end."""
    result = script("""
        import os, signal
        import rushlight as torch
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts with the signal ignored
        x = torch.ones(10, requires_grad=True)
        y = x
        for _ in range(100_000):
            y = y * 1.0
        y.register_hook(lambda g: os.kill(os.getpid(), signal.SIGINT))
        try:
            y.sum().backward()
            print("went on")
        except KeyboardInterrupt:
            print("interrupted", x.grad)
        print((torch.ones(2) + 1).tolist())
    """)
    assert result.stdout.split("\n")[:2] == ["interrupted None", "[2.0, 2.0]"], result.stdout + result.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_child_computes():
    result = script("""
        import os
        import rushlight as torch
        a = torch.ones(500, 500)
        (a @ a).sum()
        pid = os.fork()
        total = (a @ a).sum().item()
        if pid == 0:
            os._exit(0 if total == 500 ** 3 else 1)
        print(os.waitpid(pid, 0)[1], total == 500 ** 3)
    """)
    assert result.stdout == "0 True\n", result.stdout + result.stderr


def test_threads_at_the_end_of_the_interpreter():
    """Daemon threads that compute while the interpreter ends do not crash it."""
    result = script("""
        import threading
        import rushlight as torch
        a = torch.ones(300, 300)
        def work():
            while True:
                (a @ a).sum()
        for _ in range(3):
            threading.Thread(target=work, daemon=True).start()
        for _ in range(20):
            (a @ a).sum()
        print("end")
    """)
    assert (result.returncode, result.stdout) == (0, "end\n"), result.stderr

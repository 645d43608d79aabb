"""What a submission's process can do to the rest of the machine: tried at every level that works here.

Each attack runs as a cell of a job, in a worker; what came of it is looked at from outside.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tlkit.grading.crew import Crew
from tlkit.grading.isolation import landlock, levels, linux, seccomp, users
from tlkit.grading.isolation.levels import Level
from tlkit.grading.isolation.limits import Limits
from tlkit.grading.process.client import GraderError, Transcript, Zygote

pytestmark = pytest.mark.skipif(not linux.supported(), reason="tlkit grade needs Linux")

ROOT = Path(__file__).resolve().parent.parent
SECRET = "the secret 8c61f"
PROBES = b"from tlkit.exercises import exercise, probe\n"
PROBES += b'exercise("f", difficulty=1, minutes=1, why="w", hints=("h",))\n'
PROBES += b'@probe("f", points=1)\ndef _(f, rng):\n    """p"""\n    return {"one": 1}\n'
LIMITS = Limits(total_seconds=60.0, memory_bytes=400 << 20, disk_bytes=64 << 20, files=2_000, processes=24)
SHUT_IN = (Level.landlock, Level.namespaces)


@pytest.fixture(scope="module")
def course() -> Iterator[Path]:
    """A course root with a secret in it. Not below /tmp, which a room has of its own."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "gradebook.db").write_text(SECRET)
        (folder / "gradebook.db").chmod(0o666)
        yield folder


@pytest.fixture(scope="module")
def hidden(course: Path) -> list[Path]:
    return [course, ROOT, Path.home()]


@pytest.fixture(scope="module", params=list(Level), ids=str)
def zygote(request: pytest.FixtureRequest, hidden: list[Path]) -> Iterator[Zygote]:
    """One warm process a level."""
    level: Level = request.param
    if level > Level.limits and not levels._works(level, hidden):
        pytest.skip(f"this machine does not offer the level {level}")
    os.environ["TLKIT_TEST_TOKEN"] = SECRET
    with Zygote(level, hidden, LIMITS) as made:
        yield made


def test_a_zygote_that_does_not_start_is_nobodys_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run stops and says so; no submission is noted as killed."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Crew(Level.limits, [], LIMITS) as crew, pytest.raises(GraderError, match="did not start"):
        crew.run(job_of("", "1", seconds=1.0), {})


def attack(zygote: Zygote, *cells: str, seconds: float = 20.0) -> Transcript:
    """Run cells in a worker; afterwards the zygote must be alive and what the worker started dead."""
    mark = f"mark{time.monotonic_ns()}"
    found = zygote.run(job_of(mark, *cells, seconds=seconds))
    assert zygote.alive
    assert workers(zygote, mark) == []
    return found


def job_of(mark: str, *cells: str, seconds: float) -> dict[str, Any]:
    first = f"import os, sys, subprocess, time, socket, signal, mmap, ctypes\nos.environ['MARK'] = '{mark}'"
    steps = [{"source": text, "seconds": seconds} for text in (first, *cells)]
    files = {"probes.py": base64.b64encode(PROBES).decode()}
    return {"files": files, "steps": steps, "seeds": {}, "public": {}, "about": {}}


def workers(zygote: Zygote, mark: str) -> list[int]:
    """Processes that are left of a worker: those with the zygote's environment, or with the worker's."""
    left = []
    marks = (zygote._home.encode(), mark.encode())
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = (folder / "environ").read_bytes()
            if int(folder.name) != zygote._process.pid and any(one in environment for one in marks):
                left.append(int(folder.name))
    deadline = time.monotonic() + 3  # a keeper ends after its last word
    while left and time.monotonic() < deadline:
        time.sleep(0.1)
        left = [one for one in left if Path(f"/proc/{one}").exists() and not zombie(one)]
    return left


def zombie(process: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def said(found: Transcript) -> str:
    """All that the cells printed, and their errors."""
    parts = []
    for message in found.messages:
        parts += [str(output.get("text", "")) for output in message.get("outputs", ())]
        if message.get("error"):
            parts.append(f"{message['error']['name']}: {message['error']['message']}")
    return "\n".join(parts)


def shut(zygote: Zygote) -> None:
    if zygote.level not in SHUT_IN:
        pytest.skip("this level does not keep files, network and processes away, and says so")


def test_honest_work_is_done(zygote: Zygote) -> None:
    """Files in the working folder, lazy imports, a figure, threads, a program: all work as usual."""
    found = attack(
        zygote,
        "from pathlib import Path\nPath('a.txt').write_text('x'); Path('b.txt').touch()\n"
        "import shutil; shutil.copy('a.txt', 'c.txt'); shutil.rmtree\nprint(sorted(os.listdir()))",
        "import xml.dom.minidom, sqlite3, torch, numpy as np\n"
        "np.save('w.npy', np.ones(3)); torch.save(torch.ones(2), 'w.pt')\n"
        "print(torch.load('w.pt').sum(), np.load('w.npy').sum())",
        "import threading, tempfile\n"
        "t = threading.Thread(target=lambda: print('thread')); t.start(); t.join()\n"
        "with tempfile.NamedTemporaryFile() as f: print('temporary', f.write(b'x'))",
        "print(subprocess.run(['/bin/sh', '-c', 'echo shell'], capture_output=True, text=True).stdout)",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()",
        "import asyncio\nasync def f(): return 'awaited'\nprint(asyncio.run(f()))",
        "open('d/e', 'w')",
    )
    assert found.ended == "done", found
    text = said(found)
    for expected in (
        "['a.txt', 'b.txt', 'c.txt', 'probes.py']",
        "tensor(2.) 3.0",
        "thread",
        "temporary 1",
        "shell",
        "awaited",
    ):
        assert expected in text
    assert any("png" in output for message in found.messages for output in message.get("outputs", ()))
    assert "FileNotFoundError" in text


def test_nothing_of_others_is_read(zygote: Zygote, course: Path) -> None:
    """Neither the course, nor homes, nor accounts, nor other processes, nor the grader's environment."""
    shut(zygote)
    me = os.getpid()
    paths = [
        course / "gradebook.db",
        ROOT / "pyproject.toml",
        ROOT / "solutions",
        "/etc/shadow",
        "/etc/hostname",
    ]
    paths += [
        f"/proc/{me}/environ",
        f"/proc/{me}/cmdline",
        f"/proc/{me}/fd",
        f"/proc/{zygote._process.pid}/maps",
    ]
    paths += [Path.home(), course, ROOT, "/var", "/root", "/home", "/sys", "/var/tmp"]
    found = attack(
        zygote,
        f"for path in {[str(path) for path in paths]!r}:\n"
        "    try:\n        got = os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(99)\n"
        "    except OSError: continue\n"
        "    if isinstance(got, list): got = set(got) - {'tlkit', '.venv', '.pyenv', '.local'}\n"
        "    if got: print('GOT', path, got)",
        "print(dict(os.environ))",
        "print([name for name in os.listdir('/proc') if name.isdigit()])",
        "print(open('/proc/self/environ').read())",
        f"os.link({str(course / 'gradebook.db')!r}, 'g'); print('GOT', open('g').read())",
        f"os.symlink({str(course / 'gradebook.db')!r}, 's'); print('GOT', open('s').read())",
    )
    assert found.ended == "done", found
    assert "GOT" not in said(found)
    assert SECRET not in said(found)


def test_nothing_of_others_is_written(zygote: Zygote, course: Path) -> None:
    """Files outside are neither made, changed, cut, removed, renamed, nor given other permissions."""
    shut(zygote)
    book = course / "gradebook.db"
    before = book.stat()
    outside = Path(tempfile.gettempdir(), f"outside{os.getpid()}")
    here = Path(levels.__file__)
    code = here.read_bytes()
    attempts = [
        f"open({str(book)!r}, 'a').write('x')",
        f"os.truncate({str(book)!r}, 0)",
        f"os.unlink({str(book)!r})",
        f"os.rename({str(book)!r}, 'mine')",
        f"os.chmod({str(book)!r}, 0)",
        f"os.setxattr({str(book)!r}, 'user.a', b'1')",
        f"open({str(course / 'new')!r}, 'w')",
        f"os.mkdir({str(course / 'new')!r})",
        f"open({str(outside)!r}, 'w').write('x')",
        f"open({f'/var/tmp/{outside.name}'!r}, 'w').write('x')",
        f"open({f'/dev/shm/{outside.name}'!r}, 'w').write('x')",
        f"open({str(here)!r}, 'a').write('#')",
        f"os.chmod({str(here)!r}, 0)",
        f"os.truncate({str(here)!r}, 0)",
        f"open({sys.prefix + '/sitecustomize.py'!r}, 'w')",
    ]
    found = attack(zygote, *attempts)
    assert found.ended == "done", found
    after = book.stat()
    assert book.read_text() == SECRET
    assert (after.st_mode, after.st_mtime, after.st_ino) == (before.st_mode, before.st_mtime, before.st_ino)
    assert [path.name for path in course.iterdir()] == ["gradebook.db"]
    assert here.read_bytes() == code
    assert here.stat().st_mode & 0o444
    assert not Path(sys.prefix, "sitecustomize.py").exists()
    assert not any(
        Path(folder, outside.name).exists() for folder in (tempfile.gettempdir(), "/var/tmp", "/dev/shm")
    )


def test_no_network(zygote: Zygote, tmp_path: Path) -> None:
    """Listeners on this machine hear nothing: by TCP, UDP, a path or an abstract name."""
    shut(zygote)
    with contextlib.ExitStack() as stack:
        tcp, udp, path, name = (
            stack.enter_context(socket.socket(family, kind))
            for family, kind in (
                (socket.AF_INET, socket.SOCK_STREAM),
                (socket.AF_INET, socket.SOCK_DGRAM),
                (socket.AF_UNIX, socket.SOCK_STREAM),
                (socket.AF_UNIX, socket.SOCK_STREAM),
            )
        )
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", 0))
        place = tempfile.mktemp(dir="/var/tmp")
        path.bind(place)
        Path(place).chmod(0o777)
        name.bind(f"\0tlkit{os.getpid()}")
        free = socket.socket()
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        for one in (tcp, path, name):
            one.listen()
        found = attack(
            zygote,
            f"socket.create_connection(('127.0.0.1', {tcp.getsockname()[1]}), 2)",
            f"s = socket.socket(type=2); s.sendto(b'x', ('127.0.0.1', {udp.getsockname()[1]}))",
            f"socket.socket(socket.AF_UNIX).connect({place!r})",
            f"socket.socket(socket.AF_UNIX).connect({name.getsockname()!r})",
            "print('RESOLVED', socket.getaddrinfo('example.org', 80))",
            f"s = socket.socket(); s.bind(('127.0.0.1', {port})); s.listen(); time.sleep(0.2)",
            "b = ctypes.create_string_buffer(200); print('URING', ctypes.CDLL(None).syscall(425, 4, b))",
        )
        Path(place).unlink()
        assert found.ended == "done", found
        for one in (tcp, udp, path, name):
            one.settimeout(0.05)
            with pytest.raises(TimeoutError):
                one.recv(1) if one is udp else one.accept()
    assert "RESOLVED" not in said(found)
    assert "URING -1" in said(found)


def test_others_are_not_signalled(zygote: Zygote) -> None:
    """Killing everything, the parent, the zygote, the grader and its group harms nobody but the killer."""
    sleeper = subprocess.Popen(["sleep", "60"], start_new_session=True, user=os.geteuid())
    try:
        targets = (sleeper.pid, zygote._process.pid, os.getpid())
        if zygote.level is Level.limits and os.geteuid() != 0:
            targets = (sleeper.pid,)
        attack(
            zygote,
            f"for one in {targets}:\n    try: os.kill(one, 9)\n    except OSError as error: print(error)",
        )
        attack(zygote, "os.kill(os.getppid(), 9)", "os.killpg(os.getpgid(0), 9)")
        attack(zygote, "os.kill(0, 9)")
        assert not list(Path(zygote._home).glob("room-*"))  # its keeper lived to tidy up
        attack(zygote, f"signal.pidfd_send_signal(os.pidfd_open({sleeper.pid}), 9)")
        attack(
            zygote,
            f"import resource; resource.prlimit({sleeper.pid}, resource.RLIMIT_CPU, (0, 0))",
            f"import resource; resource.prlimit({os.getpid()}, resource.RLIMIT_NOFILE, (3, 3))",
            f"import fcntl; a, b = socket.socketpair()\n"
            f"fcntl.fcntl(a, 8, {sleeper.pid}); fcntl.fcntl(a, 10, 9);"
            "fcntl.fcntl(a, 4, 0o20000); b.send(b'x')",
        )
        attack(zygote, "os.kill(-1, 9)")
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()
    assert attack(zygote, "print('alive')").ended == "done"


def test_others_are_not_looked_into(zygote: Zygote) -> None:
    """No tracing, no reading of memory, of the zygote least of all, and no kernel interface to do it by."""
    pid = zygote._process.pid
    memory = "(ctypes.c_long * 2)(ctypes.addressof(b), 8)"
    found = attack(
        zygote,
        "libc = ctypes.CDLL(None, use_errno=True); b = ctypes.create_string_buffer(8)\n"
        f"for one in ({pid}, {os.getpid()}, os.getppid()):\n"
        "    print('P', libc.ptrace(16, one, 0, 0))\n"
        f"    print('P', libc.process_vm_readv(one, {memory}, 1, {memory}, 1, 0))\n"
        "    print('P', libc.syscall(438, libc.syscall(434, one, 0), 0, 0))",
        f"open('/proc/{pid}/mem', 'rb').seek(1); print('P', 1)",
        "libc = ctypes.CDLL(None)\n"
        "if os.uname().machine == 'x86_64':\n"
        "  for call in ((272, 0x10000000), (272, 0x20000), (308, 0, 0), (321, 0, 0, 0),"
        " (323, 0), (319, b'a', 0), (298, 0, 0, 0, 0, 0),"
        " (165, b'none', b'/tmp', b'tmpfs', 0, 0), (161, b'/tmp'), (428, -100, b'/', 1),"
        " (29, 0, 4096, 0o1600), (250, 0, -3, 1),"
        " (157, 1, 0, 0, 0, 0), (157, 4, 0, 0, 0, 0), (56, 0x10000000 | 17, 0, 0, 0, 0)):\n"
        "    print('P', libc.syscall(*call))",
    )
    numbers = [int(line.split()[1]) for line in said(found).splitlines() if line.startswith("P ")]
    if zygote.level in SHUT_IN:
        assert set(numbers) == {-1}, said(found)
    assert len(numbers) >= 15


def test_everything_dies_with_the_worker(zygote: Zygote, course: Path) -> None:
    """Detached, in sessions of their own, deaf to signals, forking on and on: `attack` finds none."""
    detach = "import os, signal, time\nfor n in range(3):\n    if os.fork(): os._exit(0)\n    os.setsid()\n"
    deaf = "for n in range(1, 32):\n    try: signal.signal(n, signal.SIG_IGN)\n    except OSError: pass\n"
    found = attack(
        zygote,
        f"if os.fork() == 0:\n    exec({detach + deaf + 'time.sleep(60)'!r})",
        "subprocess.Popen(['setsid', '-f', 'sh', '-c', 'trap \"\" TERM; nohup sleep 60 & sleep 60'])",
        "time.sleep(0.2); print('ready')",
    )
    assert "ready" in said(found)
    # one that is another process every moment, whose parent has always ended
    found = attack(
        zygote, "if os.fork() == 0:\n    while True:\n        if os.fork(): os._exit(0)", "time.sleep(0.3)"
    )
    assert found.ended == "done"


def test_floods_end_at_the_limit(zygote: Zygote) -> None:
    """Too many processes or threads: refused, or the submission is stopped; the next one has its own."""
    started = time.monotonic()
    found = attack(
        zygote,
        "n = 0\ntry:\n    while True:\n"
        "        if os.fork() == 0: time.sleep(30); os._exit(0)\n        n += 1\n"
        "except OSError: print('made', n); time.sleep(1)",
    )
    assert found.ended == "processes" or (
        "made" in said(found) and int(said(found).split("made")[1].split()[0]) <= 24
    )
    attack(zygote, "while True: os.fork()", seconds=3)
    attack(
        zygote,
        "import threading\nfor n in range(5000): threading.Thread(target=time.sleep, args=(30,)).start()",
    )
    found = attack(zygote, "fs = [open('/dev/null') for n in range(10_000)]")
    assert "Too many open files" in said(found)
    assert (
        attack(zygote, "import threading; t = threading.Thread(target=print); t.start(); print('fine')").ended
        == "done"
    )
    assert time.monotonic() - started < 60


MEMORY = {
    "of its own": "b = []\nwhile True: b.append(bytearray(1 << 24))",
    "by many": "for n in range(12):\n"
    "    if os.fork() == 0: b = bytearray(60 << 20); time.sleep(30); os._exit(0)\ntime.sleep(15)",
    "by programs": "c = 'x = bytearray(80 << 20); import time; time.sleep(30)'\n"
    "program = sys.executable if os.access(sys.executable, 1) else '/usr/bin/python3'\n"
    "for n in range(12): subprocess.Popen([program, '-S', '-c', c])\n"
    "time.sleep(15)",
    "by orphans": "if os.fork() == 0:\n    if os.fork(): os._exit(0)\n    os.setsid(); b = []\n"
    "    for n in range(100): b.append(bytearray(1 << 24)); time.sleep(0.01)\n"
    "    time.sleep(9)\ntime.sleep(9)",
    "memfd": "fs = []\nfor n in range(40):\n    fs.append(os.memfd_create('a'))\n"
    "    for m in range(16): os.write(fs[-1], bytes(1 << 20))\nprint('REACHED')",
    "shared": "b = []\nfor n in range(40):\n    m = mmap.mmap(-1, 1 << 24)\n"
    "    for at in range(0, 1 << 24, 4096): m[at] = 1\n"
    "    m.madvise(mmap.MADV_DONTNEED); b.append(m)\nprint('REACHED')",
    "zero": "b = []\nfor n in range(40):\n    m = mmap.mmap(os.open('/dev/zero', os.O_RDWR), 1 << 24)\n"
    "    for at in range(0, 1 << 24, 4096): m[at] = 1\n"
    "    m.madvise(mmap.MADV_DONTNEED); b.append(m)\nprint('REACHED')",
    "tables": "b = []\nfor n in range(400):\n"
    "    m = mmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=1)\n"
    "    for at in range(0, 1 << 30, 1 << 21): m[at]\n    b.append(m)\nprint('REACHED')",
}


@pytest.mark.parametrize("how", MEMORY)
def test_memory_ends_at_the_limit(zygote: Zygote, how: str) -> None:
    """More memory than allowed is not to be had, whosever it is, and wherever it hides."""
    if how == "zero" and zygote.level not in SHUT_IN:
        pytest.skip("this level has the machine's devices")
    found = attack(zygote, MEMORY[how])
    assert "REACHED" not in said(found)
    assert found.ended == "memory" or "Error" in said(found), (found, said(found))


DISK = {
    "one file": "with open('f', 'wb') as f:\n    for n in range(999): f.write(bytes(1 << 20))",
    "many files": "for n in range(999):\n"
    "    with open(f'f{n}', 'wb') as f: f.write(bytes(1 << 20))\n    time.sleep(0.002)\ntime.sleep(1)",
    "without a name": "fs = []\nfor n in range(400):\n    fs.append(open('f', 'wb'))\n"
    "    fs[-1].write(bytes(1 << 20)); fs[-1].flush()\n"
    "    os.unlink('f'); time.sleep(0.002)\ntime.sleep(1)",
    "only mapped": "ms = []\nfor n in range(400):\n    f = open('f', 'w+b'); f.truncate(1 << 20)\n"
    "    ms.append(mmap.mmap(f.fileno(), 1 << 20))\n"
    "    ms[-1][:] = bytes(1 << 20); f.close(); os.unlink('f'); time.sleep(0.002)\ntime.sleep(1)",
    "empty files": "for n in range(9_999): open(f'e{n}', 'w').close()\ntime.sleep(1)",
    "out of sight": "os.mkdir('d', 0o300); os.chdir('d')\nfor n in range(99):\n"
    "    with open(f'f{n}', 'wb') as f: f.write(bytes(1 << 20))\n"
    "    time.sleep(0.005)\ntime.sleep(1)",
    "deep": "for n in range(3_000): os.mkdir('d'); os.chdir('d')\ntime.sleep(1)",
}


@pytest.mark.parametrize("how", DISK)
def test_disk_ends_at_the_limit(zygote: Zygote, how: str) -> None:
    """Files can be neither large nor many, with or without names; nothing of them is left."""
    found = attack(zygote, DISK[how], "print('went on')")
    full = ("disk", "died") if how == "only mapped" else ("disk",)  # no page for what was mapped: SIGBUS
    assert found.ended in full or "Error" in said(found), (found, said(found))
    assert not list(Path(zygote._home).glob("room-*"))


def test_workers_do_not_meet(zygote: Zygote) -> None:
    """What one submission leaves behind, the next one does not find, nor one beside it."""
    first = attack(
        zygote, "open('left', 'w').write('x'); open(os.path.join(os.environ['HOME'], 'left'), 'w').write('x')"
    )
    assert first.ended == "done"
    second = attack(
        zygote, "print(os.listdir(), os.listdir(os.environ['HOME']), os.path.exists('/tmp/left'))"
    )
    assert "left" not in said(second)
    assert "False" in said(second)


def test_a_killed_zygote_takes_nothing_along(zygote: Zygote) -> None:
    """A submission on its way is finished, and what it started ends with it. (Last: the zygote is gone.)"""
    detached = "subprocess.Popen(['setsid', '-f', 'sleep', '60'])\nif os.fork() == 0: time.sleep(60)"
    job = job_of("mark of a killed one", detached, "time.sleep(2); print('finished')", seconds=20)
    with ThreadPoolExecutor() as threads:
        found = threads.submit(zygote.run, job)
        time.sleep(1)
        zygote._process.kill()
        assert "finished" in said(found.result())
    assert found.result().ended == "done"
    assert workers(zygote, "mark of a killed one") == []


def in_a_child(work: Callable[[], Any]) -> str:
    """What `work` returns, in a process that ends with it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            text = str(work())
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
@pytest.mark.parametrize("known", range(1, 8))
def test_older_kernels(known: int, hidden: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """With what earlier versions of Landlock offer, the level holds by other means."""
    if known > landlock.version():
        pytest.skip(f"this kernel's Landlock is version {landlock.version()}")
    monkeypatch.setattr(landlock, "version", lambda: known)
    assert levels._works(Level.landlock, hidden)


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
def test_signals_without_scopes(course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Landlock cannot keep signals away, the filter refuses all but those to oneself."""
    monkeypatch.setattr(landlock, "version", lambda: 1)
    me = os.getpid()

    def try_it() -> list[str]:
        linux.drop_capabilities()
        seccomp.install(outside=True, signals=True)
        found = []
        for target in (me, -1, 0, -os.getpgid(0)):
            try:
                os.kill(target, 0)
                found.append(f"reached {target}")
            except PermissionError:
                found.append("refused")
        os.kill(os.getpid(), 0)
        return found

    assert in_a_child(try_it) == str(["refused"] * 4)


def test_a_hidden_folder_within_a_readable_one(tmp_path: Path) -> None:
    """Landlock allows folders; where one contains what is hidden, all around that is allowed."""
    for name in ("lib", "src/course/solutions", "src/other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "src" / "link").symlink_to(tmp_path / "src" / "course")
    found = list(landlock.without(tmp_path, [tmp_path / "src" / "course"]))
    assert found == [tmp_path / "lib", tmp_path / "src" / "other"]
    assert list(landlock.without(tmp_path, [Path("/elsewhere"), tmp_path])) == [tmp_path]


def test_users_that_nobody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A grader that is not root has one user to work as; root lends each worker one that is not in use."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert users.own_number() is None
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    number = users.own_number()
    assert number is None or number > 60_000
    if number is not None:
        assert users.processes_of(number) == 0


def test_a_level_that_fails_is_not_offered(monkeypatch: pytest.MonkeyPatch, hidden: list[Path]) -> None:
    """What a machine forbids is found by trying; what keeps nothing away counts as failed."""

    def forbidden(*_: object) -> None:
        raise PermissionError("not here")

    monkeypatch.setattr(linux, "unshare", forbidden)
    assert levels.best(hidden) < Level.namespaces
    monkeypatch.setattr(landlock, "restrict", lambda made: None)
    monkeypatch.setattr(landlock, "surround", lambda: False)
    assert levels.best(hidden) is Level.limits


def test_the_level_is_found_fast(hidden: list[Path]) -> None:
    """Well under a second."""
    started = time.process_time()
    levels.best(hidden)
    assert time.process_time() - started < 1

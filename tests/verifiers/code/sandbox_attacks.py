"""Attacks on what a solution must not know: each is code that defines `seek`, which returns what it found.

The test plants a random secret wherever the grader holds one and asserts that no attack brings it home, nor has a wrong
solution called right. `AROUND` attacks look outside the process and run only where there is a sandbox; `WITHIN` attacks
look through the process itself and hold at every level; `FORGERIES` define the solution `f` and lie about its results.
"""

SEARCH = """
import os, re
SECRET = re.compile(b'secret-[0-9a-f]{32}')
NEAR = [p for p in range(max(1, os.getpid() - 12), os.getpid() + 13) if p != os.getpid()]
NEAR += [os.getppid(), 1]
def bring(data):
    data = data if isinstance(data, bytes) else str(data).encode('utf-8', 'replace')
    found = SECRET.search(data)
    return found and found[0].decode()
def read(path):
    try:
        with open(path, 'rb', buffering=0) as file:
            return bring(file.read(10**6))
    except OSError:
        return None
def first(found):
    return next((item for item in found if item), None)
def persist(attempt, seconds=0.1):
    import time
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = attempt()
        if got:
            return got
"""

# Brings what an attack finds out: returned, and written to files of the process.
CARRY_HOME = """
def carried():
    try:
        got = seek()
    except BaseException as error:
        got = repr(error)
    got = got if got == 'reached' else bring(got) or 'nothing'
    for file in FILES:
        try:
            os.write(file, got.encode())
        except OSError:
            pass
    return got
"""

PROCESS_FILES = [
    "environ", "cmdline", "maps", "smaps", "mem", "auxv", "stat", "status", "comm", "wchan", "stack", "syscall",
    "io", "limits", "mountinfo", "cgroup", "pagemap", "personality", "timers", "attr/current", "root/etc/hostname",
    "cwd/x", "exe",
]  # fmt: skip

AROUND = {f"reads /proc/<pid>/{name} of others": f"""
def seek(): return first(read(f'/proc/{{p}}/{name}') for p in NEAR)
""" for name in PROCESS_FILES}  # fmt: skip
AROUND |= {
    "reads the open files of others": """
def seek(): return persist(lambda: first(read(f'/proc/{p}/fd/{n}') for p in NEAR for n in range(24)))
seek.early = seek()
""",
    "reads the open files of the threads of others": """
def seek(): return persist(lambda: first(read(f'/proc/{p}/task/{p}/fd/{n}') for p in NEAR for n in range(24)))
""",
    "reads the mapped files of others": """
def seek():
    names = []
    for p in NEAR:
        try: names += [f'/proc/{p}/map_files/{n}' for n in os.listdir(f'/proc/{p}/map_files')]
        except OSError: pass
    return first(map(read, names))
""",
    "replaces the tests before they are read": """
import json
def empty():
    for p in NEAR:
        for n in range(24):
            try: file = os.open(f'/proc/{p}/fd/{n}', os.O_RDWR)
            except OSError: continue
            try:
                told = json.loads(os.pread(file, 10**6, 0))
                if 'program' in told:
                    told['program'] = told['setup'] = ''
                    os.ftruncate(file, 0)
                    os.pwrite(file, json.dumps(told).encode(), 0)
                    return True
            except (OSError, ValueError): pass
            finally: os.close(file)
persist(empty, 0.2)
def seek(): return None
""",
    "writes that it passed into the results of others": """
def forge():
    for p in NEAR:
        for n in range(24):
            try:
                file = os.open(f'/proc/{p}/fd/{n}', os.O_WRONLY)
                os.write(file, b'passed')
                return 'reached'
            except OSError: pass
def seek(): return forge()
""",
    "wakes or fills the fork server's pipe": """
def seek():
    for n in range(24):
        try: os.write(os.open(f'/proc/{os.getppid()}/fd/{n}', os.O_WRONLY | os.O_NONBLOCK), b'x')
        except OSError: continue
        return 'reached'
""",
    "reads its own files again by way of /proc": """
def seek():
    for path in (f'/proc/{s}/fd/{n}' for s in ('self', 'thread-self', os.getpid()) for n in range(1, 64)):
        try: got = bring(os.read(os.open(path, os.O_RDONLY | os.O_NONBLOCK), 10**6))
        except OSError: continue
        if got: return got
""",
    "rewinds its own files": """
def seek():
    for n in range(64):
        try:
            os.lseek(n, 0, 0)
            got = bring(os.read(n, 10**6))
        except OSError: continue
        if got: return got
""",
    "peeks into its own files at every offset": """
def seek():
    for n in range(64):
        try: got = bring(os.pread(n, 10**6, 0))
        except OSError: continue
        if got: return got
""",
    "lists /proc for every process": """
def seek(): return first(read(f'/proc/{p}/environ') for p in os.listdir('/proc') if p.isdigit())
""",
    "reads the kernel's log, keys and memory": """
def seek(): return first(map(read, ('/proc/kmsg', '/proc/keys', '/proc/kcore', '/dev/mem', '/dev/kmsg', '/dev/shm')))
""",
    "reads shared memory": """
def seek(): return first(read(f'/dev/shm/{n}') for n in os.listdir('/dev/shm'))
""",
    "reads shared memory by name": "def seek(): return read('/dev/shm/PLANTED')",
    "reads the caller's folder": "def seek(): return read('FOLDER/PLANTED')",
    "lists the caller's folder": "def seek(): return first(read(f'FOLDER/{n}') for n in os.listdir('FOLDER'))",
    "reads through a link": "def seek():\n os.symlink('FOLDER/PLANTED', 'link'); return read('link')",
    "reads through a hard link": "def seek():\n os.link('FOLDER/PLANTED', 'link'); return read('link')",
    "moves the file over": "def seek():\n os.rename('FOLDER/PLANTED', 'here'); return read('here')",
    "imports the file": "import sys\ndef seek():\n sys.path.append('FOLDER'); import planted; return vars(planted)",
    "reads through a relative path": "def seek(): return read('../' * 20 + 'FOLDER/PLANTED')",
    "reads through the root of others": "def seek(): return first(read(f'/proc/{p}/rootFOLDER/PLANTED') for p in NEAR)",
    "maps the file": """
import mmap
def seek(): return bring(mmap.mmap(os.open('FOLDER/PLANTED', os.O_RDONLY), 0, prot=mmap.PROT_READ)[:])
""",
    "opens the file as a database": """
import sqlite3
def seek(): return str(sqlite3.connect('file:FOLDER/PLANTED?mode=ro', uri=True).execute('select * from x').fetchall())
""",
    "makes another process look": "def seek():\n  import subprocess\n  return subprocess.check_output(['env'])",
    "becomes another program": "def seek(): os.execv('/bin/cat', ['cat', 'FOLDER/PLANTED'])",
    "forks and looks from there": "def seek():\n  if os.fork() == 0: os._exit(0)\n  return read('FOLDER/PLANTED')",
    "gets new rights": "def seek():\n  os.setuid(0); os.setgid(0); return read('FOLDER/PLANTED')",
    "asks the network": "import socket\ndef seek(): return socket.create_connection(('127.0.0.1', 22), 0.1).recv(100)",
    "asks the checker for its files": """
import array, socket
def seek():
    with socket.socket(fileno=os.dup(4)) as partner: return repr(partner.recvmsg(9, 9999, socket.MSG_DONTWAIT))
""",
    "kills the checker": """
def seek():
    for p in NEAR[:-2]:
        try: os.kill(p, 9)
        except OSError: continue
        return 'reached'
""",
    "stops the fork server": "def seek(): os.kill(os.getppid(), 19)",
    "lets the checker run out of time": """
import resource
def seek():
    for p in NEAR[:-2]:
        try: resource.prlimit(p, resource.RLIMIT_CPU, (0, 0))
        except OSError: continue
        return 'reached'
""",
    "watches folders": """
import ctypes
def seek(): return ctypes.CDLL(None).inotify_init1(0o4000) >= 0 and 'reached' or None
""",
    "makes itself open to others": """
import ctypes
def seek(): return ctypes.CDLL(None).prctl(4, 1) == 0 and 'reached' or None
""",
    "traces the checker": """
import ctypes
libc = ctypes.CDLL(None)
def seek():
    for p in NEAR[:-2]:
        if libc.ptrace(16, p, 0, 0) == 0: return 'reached'
""",
    "copies the memory of others": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def seek():
    here = ctypes.create_string_buffer(4096)
    for p in NEAR:
        local, remote = (ctypes.c_ulong * 2)(ctypes.addressof(here), 4096), (ctypes.c_ulong * 2)(id(libc) & ~4095, 4096)
        if libc.process_vm_readv(p, local, 1, remote, 1, 0) > 0: return 'reached'
""",
    "fetches files of others by pidfd": """
import ctypes
libc = ctypes.CDLL(None)
def seek():
    for p in NEAR:
        handle = libc.syscall(434, p, 0)
        for n in range(24) if handle >= 0 else ():
            file = libc.syscall(438, handle, n, 0)
            if file >= 0: return 'reached'
""",
}  # fmt: skip

WITHIN = {
    "frames of the callers": """
import sys
def seek():
    frame, texts = sys._getframe(), []
    while frame:
        texts.append(repr([v for v in frame.f_locals.values() if isinstance(v, (str, bytes, dict, list, tuple))]))
        texts.append(repr([v for v in frame.f_globals.values() if isinstance(v, (str, bytes, dict, list, tuple))]))
        frame = frame.f_back
    return first(map(bring, texts))
""",
    "frames of all threads": """
import sys, threading
def seek(): return bring([{n: repr(v) for n, v in f.f_locals.items()} for f in sys._current_frames().values()])
""",
    "frames of a traceback": """
import sys
def seek():
    try: 1 / 0
    except ZeroDivisionError as error:
        step, texts = error.__traceback__.tb_frame, []
        while step: texts.append(repr(step.f_locals)); step = step.f_back
        return first(map(bring, texts))
""",
    "the source of the callers": "import inspect\ndef seek(): return bring([s.code_context for s in inspect.stack(5)])",
    "all objects": """
import gc
def seek(): return first(bring(repr(o)) for o in gc.get_objects() if isinstance(o, (dict, list, tuple)) and len(o) < 99)
""",
    "all objects, thawed": """
import gc
def seek():
    gc.unfreeze()
    return first(bring(repr(o)) for o in gc.get_objects() if isinstance(o, (dict, list, tuple)) and len(o) < 99)
""",
    "who refers to the code": """
import gc
def seek(): return bring([gc.get_referrers(o) for o in gc.get_referrers(seek)])
""",
    "all modules": """
import sys
def seek(): return first(bring(repr(v)) for m in list(sys.modules.values()) for v in vars(m).values()
    if isinstance(v, (str, bytes, dict, list, tuple)))
""",
    "the main module and its work": """
import __main__, sys
def seek(): return bring([vars(__main__), sys.argv, sys.orig_argv])
""",
    "the environment": "def seek(): return bring([dict(os.environ), dict(os.environb)])",
    "the environment in memory": """
import ctypes
def seek():
    place, texts = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), 'environ'), []
    for n in range(1000):
        if not place or place[n] is None: break
        texts.append(place[n])
    return bring(texts)
""",
    "its own memory": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.sbrk.restype = ctypes.c_void_p
def seek():
    out, into = os.pipe()
    tail, end = b'', libc.sbrk(0)
    objects = {id(o) & ~0xfffff for o in list(globals().values())}
    for start, size in [(end - 2**24, 2**24), *((o, 2**20) for o in objects)]:
        for address in range(start, start + size, 4096):
            if libc.write(into, ctypes.c_void_p(address), 4096) == 4096:
                page = os.read(out, 4096)
                if SECRET.search(tail[-64:] + page): return bring(tail[-64:] + page)
                tail = page
""",
    "a trace of what runs": """
import sys
texts = []
def trace(frame, *rest):
    if len(texts) < 300: texts.append(repr(frame.f_locals)[:999])
    return trace
sys.settrace(trace); sys.setprofile(trace)
frame = sys._getframe()
while frame: frame.f_trace = trace; frame = frame.f_back
def seek(): return first(map(bring, texts))
""",
    "an audit hook": """
import sys
texts = []
sys.addaudithook(lambda *event: texts.append(event))
def seek():
    return first(bring(repr(text)) for text in list(texts))
""",
    "readers that are listened to": """
import json, os
texts = []
def listening(function):
    def heard(*a, **k):
        got = function(*a, **k); texts.append(repr((a, got))); return got
    return heard
for module, name in ((json, 'loads'), (json, 'load'), (os, 'pread')):
    setattr(module, name, listening(getattr(module, name)))
def seek(): return first(map(bring, list(texts)))
""",
    "built-ins that are listened to": """
import builtins
texts = []
def listening(function):
    def heard(*a, **k): texts.append(repr(a)); return function(*a, **k)
    return heard
for name in ('exec', 'compile', 'eval', 'len', 'getattr', 'setattr', 'hasattr'):
    setattr(builtins, name, listening(getattr(builtins, name)))
def seek(): return first(map(bring, list(texts)))
""",
    "what runs at the end": """
import atexit, gc
atexit.register(lambda: carried())
def seek(): return bring([gc.get_referents(o) for o in gc.get_objects() if type(o).__name__ == 'Partner'])
""",
    "weak references and closures": """
import gc, types
def seek(): return first(bring([c.cell_contents for c in (o.__closure__ or ())]) for o in gc.get_objects()
    if isinstance(o, types.FunctionType))
""",
    "strings the interpreter shares": "import sys\ndef seek(): return sys.intern('secret-') != 'secret-' or None",
    "temporary folders": """
import glob, tempfile
def seek(): return first(map(read, glob.glob(tempfile.gettempdir() + '/**', recursive=True)[:500]))
""",
}  # fmt: skip

ANYWHERE = "\nfor n in range(3, 64):\n  try: os.write(n, {})\n  except OSError: pass\n"
FORGERIES = {
    "exits at once": "os._exit(0)",
    "exits politely": "raise SystemExit(0)",
    "exits when called": "def f(*a): os._exit(0)",
    "exits politely when called": "def f(*a): raise SystemExit(0)",
    "exits in a thread": "import threading\nthreading.Timer(0.02, os._exit, (0,)).start()\ndef f(*a): return 1",
    "is killed by an alarm": "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.02)\ndef f(*a): return 1",
    "closes the socket": "def f(*a): os.close(4)",
    "closes every file": "os.closerange(0, 64)\ndef f(*a): return 1",
    "says passed": "print('passed', flush=True)\ndef f(*a): return 'passed'",
    "writes passed everywhere": f"{ANYWHERE.format(repr(b'passed'))}\nos._exit(0)",
    "answers before it is asked": ANYWHERE.format(repr(b'{"value": true}\n' * 99)),
    "answers with each kind of value": ANYWHERE.format(
        repr(b'{"value": {"kept": [0, true]}}\n{"value": NaN}\n{"value": {"int": "0x1"}}\n{"value": {"set": []}}\n')
    ),
    "answers with a kept object that is none": ANYWHERE.format(repr(b'{"value": {"kept": ["f", true]}}\n' * 99)),
    "answers with a kept object of every number": ANYWHERE.format(repr(b'{"value": {"kept": [-1, true]}}\n' * 99)),
    "answers nonsense": ANYWHERE.format(repr(b"[" * 100_000 + b"\n")),
    "answers without an end": ANYWHERE.format(repr(b"1" * 100_000)),
    "answers twice": "def f(*a):\n  os.write(4, b'{\"value\": true}\\n'); return True",
    "equals everything": (
        "class Same:\n  def __eq__(s, o): return True\n  __ne__ = lambda s, o: False\n  __hash__ = lambda s: 0\n"
        "  __contains__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__\n"
        "  __len__ = __index__ = __int__ = lambda s: 1\n  __str__ = __repr__ = lambda s: ''\n"
        "  __sub__ = __rsub__ = __add__ = __radd__ = __abs__ = lambda s, *a: 0\n"
        "  __iter__ = lambda s: iter([s])\n  __getitem__ = lambda s, k: s\n  __getattr__ = lambda s, n: s\n"
        "  __call__ = lambda s, *a, **k: s\ndef f(*a): return Same()"
    ),
    "returns a callable that agrees": "def f(*a): return lambda *a, **k: True",
    "returns an endless iterator": "import itertools\ndef f(*a): return itertools.count()",
    "returns itself": "def f(*a): return f",
    "returns a class": "def f(*a): return type('str', (), {'__eq__': lambda s, o: True})",
    "returns not a number": "def f(*a): return float('nan')",
    "returns a decimal that signals": "import decimal\ndef f(*a): return decimal.Decimal('sNaN')",
    "returns infinity": "def f(*a): return float('inf')",
    "returns what is nested in itself": "def f(*a):\n  x = []; x.append(x); return x",
    "returns sets that collide": "def f(*a): return {n * (2**61 - 1) for n in range(300)}",
    "returns an empty list": "def f(*a): return []",
    "returns an empty iterator": "def f(*a): return iter(())",
    "calls itself forever": "def f(*a): return f(*a)",
    "patches the runner": (
        "import sys\nfor m in list(sys.modules.values()):\n"
        "  for n in ('check', 'encode', 'decode', 'perform', 'serve', '_write_all', 'Partner', 'Remote', '_RESULT'):\n"
        "    if hasattr(m, n) and 'htpo' in getattr(m, '__name__', ''): setattr(m, n, lambda *a, **k: True)\n"
        "def f(*a): return True"
    ),
    "patches the built-ins": (
        "import builtins\nbuiltins.AssertionError = SystemExit\nbuiltins.isinstance = lambda *a: True\n"
        "builtins.all = builtins.any = builtins.len = lambda *a: True\ndef f(*a): return True"
    ),
    "defines the checker": "def check(*a): pass\nwanted = candidate = check\ndef f(*a): return 1",
}  # fmt: skip
for base in (str, int, list, tuple, dict, set, frozenset, bytes, float, complex):
    FORGERIES[f"returns a {base.__name__} that equals everything"] = (
        f"class Same({base.__name__}):\n  def __eq__(s, o): return True\n  __ne__ = lambda s, o: False\n"
        "  __hash__ = lambda s: 0\ndef f(*a): return Same()"
    )
ERRORS = [
    "AssertionError", "StopIteration", "StopAsyncIteration", "GeneratorExit", "KeyboardInterrupt", "SystemExit",
    "MemoryError", "RecursionError", "AttributeError", "IndexError", "KeyError", "TypeError", "NotImplementedError",
    "EOFError", "OSError",
]  # fmt: skip
for error in ERRORS:
    FORGERIES[f"raises {error}"] = f"def f(*a): raise {error}"
for word in ("raised", "value", "passed", "kept", "correct"):
    FORGERIES[f"answers with {word}"] = ANYWHERE.format(repr(f'{{"{word}": "StopIteration"}}\n'.encode() * 9))

# Ways tests of data sets ask whether `f` returns `wanted`; a wrong `f` must pass none of them.
WAYS_TO_ASK = {
    "equal": "assert f(0) == wanted",
    "equal, turned around": "assert wanted == f(0)",
    "not unequal": "assert not f(0) != wanted",
    "all of a generator": "assert all(f(n) == wanted for n in range(3))",
    "all of a map": "assert all(map(lambda n: f(n) == wanted, range(3)))",
    "none of a filter": "assert not list(filter(lambda n: f(n) != wanted, range(3)))",
    "a loop over a map": "for got in map(f, range(3)): assert got == wanted",
    "a zip of maps": "for got, sought in zip(map(f, range(3)), [wanted] * 3): assert got == sought",
    "any": "assert any(f(n) == wanted for n in range(3))",
    "within a list": "assert [f(0)] == [wanted]",
    "within a tuple": "assert (f(0), 1) == (wanted, 1)",
    "within a dictionary": "assert {1: f(0)} == {1: wanted}",
    "in": "assert f(0) in [wanted] or f(0) in {wanted}",
    "in, turned around": "assert wanted in [f(0)]",
    "a set": "assert {f(0)} == {wanted}",
    "as text": "assert str(f(0)) == wanted",
    "as written": "assert repr(f(0)) == repr(wanted)",
    "formatted": "assert f'{f(0)}' == wanted",
    "length and letters": "assert len(f(0)) == len(wanted) and list(f(0)) == list(wanted)",
    "sorted": "assert sorted(f(0)) == sorted(wanted)",
    "ordered": "assert wanted <= f(0) <= wanted",
    "the type": "assert isinstance(f(0), str) and type(f(0)) is str and f(0) == wanted",
    "a position": "assert f(0)[0] == wanted[0] and f(0)[-1] == wanted[-1]",
    "close": "import math; assert math.isclose(f(0), number) and abs(f(0) - number) < 1e-6",
    "unpacked": "a, *b = f(0); assert a == wanted[0] and b == list(wanted[1:])",
    "joined": "assert ''.join(f(0)) == wanted",
    "a sum": "assert sum([f(0), 1]) == number + 1",
}

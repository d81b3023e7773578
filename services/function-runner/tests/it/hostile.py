"""A build backend that tries to get out of its container, and prints what it finds. Then it fails: pip shows the output
of what fails."""
import ctypes
import os
import signal
import socket

HOST = "@HOST@".split()
PORT = @PORT@


def tried(name, attempt):
    try:
        print(f"{name}: {attempt()}", flush=True)
    except BaseException as fault:
        print(f"{name}: refused ({type(fault).__name__})", flush=True)


def connect(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(3)
        client.connect((host, port))
    return "CONNECTED"


def ask_proxy(request):
    host, port = os.environ["HTTPS_PROXY"].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 10) as client:
        client.sendall(request.encode())
        return client.recv(100).decode().split("\r\n")[0]


def fork_bomb():
    children = []
    try:
        while True:
            child = os.fork()
            if child == 0:
                signal.pause()
            children.append(child)
    except OSError:
        return f"stopped after {'few' if len(children) < 200 else 'TOO MANY'}"
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


def write(path):
    with open(path, "w") as file:
        file.write("x")
    return "WRITTEN"


def status(name):
    with open("/proc/self/status") as file:
        return next(line.split(":")[1].strip() for line in file if line.startswith(name + ":"))


def fill():
    block = b"x" * (1 << 20)
    with open("/tmp/fill", "wb", buffering=0) as file:
        try:
            for _ in range(64):
                file.write(block)
        except OSError as fault:
            return f"stopped ({fault.errno})"
        finally:
            os.remove("/tmp/fill")
    return "ENDLESS"


def explore():
    for host in [*HOST, "127.0.0.1", "::1", "10.88.0.1", "169.254.169.254"]:
        tried(f"connect {host}", lambda: connect(host, PORT))
    tried("resolve", lambda: socket.getaddrinfo("registry.example", 443) and "RESOLVED")
    tried("interfaces", lambda: " ".join(sorted(name for _, name in socket.if_nameindex())))
    for host in [*HOST, "127.0.0.1", "169.254.169.254", "registry.example"]:
        shown = f"[{host}]" if ":" in host else host
        tried(f"proxy {host}", lambda: ask_proxy(f"CONNECT {shown}:{PORT} HTTP/1.1\r\n\r\n"))
    tried("proxy plain", lambda: ask_proxy(f"GET http://127.0.0.1:{PORT}/ HTTP/1.1\r\n\r\n"))
    tried("sockets", lambda: " ".join(sorted(os.listdir("/run/slipway"))))
    tried("write socket", lambda: write("/run/slipway/x"))
    tried("remove socket", lambda: os.remove("/run/slipway/proxy.sock"))
    tried("write root", lambda: write("/x"))
    tried("write library", lambda: write("/usr/lib/x"))
    tried("write cgroup", lambda: write("/sys/fs/cgroup/pids.max"))
    tried("write kernel", lambda: write("/proc/sys/kernel/core_pattern"))
    tried("uid", os.getuid)
    tried("uid map", lambda: "whole host" if open("/proc/self/uid_map").read().split()[:2] == ["0", "0"] else "a range")
    tried("capabilities", lambda: status("CapEff") + status("CapPrm") + status("CapBnd"))
    tried("no new privileges", lambda: status("NoNewPrivs"))
    tried("seccomp", lambda: status("Seccomp"))
    tried("mount", lambda: ctypes.CDLL(None).mount(b"none", b"/tmp", b"tmpfs", 0, None))
    tried("first process", lambda: open("/proc/1/cmdline").read().split("\0")[0])
    tried("processes", lambda: "few" if sum(name.isdigit() for name in os.listdir("/proc")) < 20 else "MANY")
    tried("images", lambda: os.listdir("/var/lib/containers"))
    tried("secrets", lambda: ",".join(name for name in os.environ if "DATABASE" in name or "KEY" in name) or "none")
    tried("fill", fill)
    tried("fork bomb", fork_bomb)


def get_requires_for_build_wheel(config_settings=None):
    explore()
    raise SystemExit(1)

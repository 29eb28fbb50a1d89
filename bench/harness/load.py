"""Starts the load generators and reads what they report.

Every call that measures a server returns the generator's JSON with "server_cpu" added: the server's
processor time between the start (or the first gate) and the end (or the next one).
"""

import contextlib
import json
import os
import subprocess


class LoadError(RuntimeError):
    pass


def command(programs, name, options, core):
    line = [f"{programs}/{name}", "--core", str(core)]
    for key, value in options.items():
        if value is True:
            line.append(f"--{key}")
        elif value is not None and value is not False:
            line += [f"--{key}", str(value)]
    return line


def target(server, tls=False):
    options = {"port": server.pop3s if tls else server.pop3, "tls": tls,
               "users": server.users, "password": server.password}
    if server.netns:
        options["netns"] = server.netns
    return options | server.load_options


def finish(text, what):
    try:
        result = json.loads(text.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise LoadError(f"{what}: no report") from None
    if result["errors"]:
        raise LoadError(f"{what}: {result['errors']} errors, first: {result['error']}")
    return result


def pop3(bench, server, script, tls=False, core=None, check=True, **options):
    """Runs an ungated script to its end."""
    line = command(bench.programs, "pop3load", target(server, tls) | {"script": script} | options,
                   bench.cores.load if core is None else core)
    before = server.cpu()
    result = subprocess.run(line, capture_output=True, text=True)
    after = server.cpu()
    if result.returncode > 1 or not result.stdout.strip():
        raise LoadError(f"{server.name}: {result.stderr.strip()[:200]}")
    report = finish(result.stdout, server.name) if check else \
        json.loads(result.stdout.strip().splitlines()[-1])
    report["server_cpu"] = after - before
    return report


class Gated:
    """A load whose script has gates: wait() returns when all stand at one, go() opens it."""

    def __init__(self, bench, server, script, tls=False, core=None, **options):
        self.name = server.name
        line = command(bench.programs, "pop3load",
                       target(server, tls) | {"script": script} | options,
                       bench.cores.load if core is None else core)
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.report = None

    def wait(self):
        line = self.process.stdout.readline()
        if line.startswith("gate "):
            return int(line.split()[1])
        self.process.wait()
        error = self.process.stderr.read().strip()
        if line.strip():
            finish(line, self.name)
        raise LoadError(f"{self.name}: ended before its gate {error[:200]}")

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self, check=True):
        text, _ = self.process.communicate()
        if check:
            return finish(text, self.name)
        return json.loads(text.strip().splitlines()[-1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def gated_together(bench, server, script, count, each, **options):
    """Gated loads of `count` connections in all, `each` at most: a process may have only so many
    descriptors."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Gated(
            bench, server, script, first=first, conns=min(each, count - first),
            source=1 + 2 * (first // each), sources=2, **options))
            for first in range(0, count, each)]


def between_gates(bench, server, script, **options):
    """Script "…,gate,<measured>,gate,…": the server's processor time of the measured part."""
    with Gated(bench, server, script, **options) as load:
        load.wait()
        before = server.cpu()
        load.go()
        load.wait()
        spent = server.cpu() - before
        load.go()
        report = load.end()
    report["server_cpu"] = spent
    return report


def lmtp(bench, server, **options):
    more = {"users": server.users, "port": server.lmtp} | options
    if server.netns:
        more["netns"] = server.netns
    line = command(bench.programs, "lmtpload", more, bench.cores.load)
    before = server.cpu()
    result = subprocess.run(line, capture_output=True, text=True)
    after = server.cpu()
    if not result.stdout.strip():
        raise LoadError(f"{server.name}: {result.stderr.strip()[:200]}")
    report = finish(result.stdout, server.name)
    report["server_cpu"] = after - before
    return report


def programs_missing(folder):
    names = ("pop3load", "lmtpload", "bare_pop3", "bare_transfer", "bare_calls", "makemail",
             "delayproxy", "measure")
    return [name for name in names if not os.path.exists(f"{folder}/{name}")]

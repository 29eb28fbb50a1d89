"""The run itself: options, folders, samples. Areas get a Bench and add samples to it."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time

from . import machine


class Bench:
    def __init__(self, options, root):
        self.options = options
        self.quick = options.quick
        self.everyone = options.all
        self.rounds = options.rounds or 5
        self.seconds = 1.0 if options.quick else 3.0
        self.root = root
        self.build = os.path.abspath(options.build or f"{root}/build")
        self.programs = f"{self.build}/bench"
        self.peers = f"{self.build}/bench-peers"
        self.cores = machine.Cores()
        self.scratch = None
        self.samples = {}
        self.details = {}
        self.notes = []
        self.began = time.monotonic()
        self.date = time.strftime("%Y-%m-%d")

    # samples
    def add(self, metric, subject, value):
        self.samples.setdefault(metric, {}).setdefault(subject, []).append(value)

    def keep(self, metric, subject, value):
        """Something that is not a number to take the median of: a curve, a distribution."""
        self.details.setdefault(metric, {})[subject] = value

    def median(self, metric, subject):
        values = self.samples.get(metric, {}).get(subject)
        return statistics.median(values) if values else None

    def note(self, text):
        self.notes.append(text)
        self.say(f"  note: {text}")

    def say(self, text):
        print(f"[{time.monotonic() - self.began:6.1f} s] {text}", file=sys.stderr, flush=True)

    # tools
    def makemail(self, **options):
        command = [f"{self.programs}/makemail"]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        subprocess.run(command, check=True)

    def bare(self, program, *arguments):
        return machine.run_json([f"{self.programs}/{program}", *map(str, arguments)])

    def have_valija(self):
        return all(os.access(f"{self.build}/{name}", os.X_OK) for name in ("valijad", "valija"))

    def open_scratch(self):
        base = self.options.scratch or os.environ.get("VALIJA_BENCH_DIR") or "/var/tmp"
        self.scratch = f"{base}/valija-bench-{os.getpid()}"
        os.makedirs(self.scratch)
        os.chmod(self.scratch, 0o755)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-keyout", f"{self.scratch}/key.pem", "-out", f"{self.scratch}/cert.pem"],
                       check=True, stderr=subprocess.DEVNULL)
        os.chmod(f"{self.scratch}/key.pem", 0o600)

    @staticmethod
    def forget(path):
        shutil.rmtree(path, ignore_errors=True)

    def close_scratch(self):
        if self.scratch and not self.options.keep:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def save(self, path, verdicts):
        table = {metric: {subject: {"median": statistics.median(values), "values": values}
                          for subject, values in subjects.items()}
                 for metric, subjects in self.samples.items()}
        with open(path, "w") as file:
            json.dump({"date": time.strftime("%Y-%m-%d %H:%M"), "quick": self.quick,
                       "rounds": self.rounds, "machine": machine.describe(),
                       "cores": self.cores.describe(), "versions": self.versions(),
                       "samples": table, "details": self.details, "notes": self.notes,
                       "budgets": verdicts}, file, indent=1)
            file.write("\n")

    def merge(self, path):
        """Takes from an earlier result what this run has not measured."""
        try:
            with open(path) as file:
                earlier = json.load(file)
        except OSError:
            return
        if earlier["quick"] != self.quick:
            self.note("the earlier result is of another kind of run and was not merged")
            return
        for metric, subjects in earlier["samples"].items():
            if metric not in self.samples:
                self.samples[metric] = {name: entry["values"] for name, entry in subjects.items()}
        for metric, subjects in earlier["details"].items():
            self.details.setdefault(metric, subjects)
        self.notes = [note for note in earlier["notes"] if note not in self.notes] + self.notes

    def versions(self):
        packages = ["dovecot-pop3d", "popa3d", "courier-pop", "cyrus-pop3d", "mpop", "fetchmail",
                    "getmail6", "libssl3"]
        result = subprocess.run(["apt-cache", "policy", *packages], capture_output=True, text=True)
        versions, name = {}, None
        for line in result.stdout.splitlines():
            if line and not line.startswith(" "):
                name = line.rstrip(":")
            elif "Candidate:" in line and name:
                versions[name] = line.split()[1]
        return versions

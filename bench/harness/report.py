"""Turns a run into a Markdown table and plots. The plots are left out, with a note, when matplotlib
is not there."""

import os
import shutil
import statistics


def figure(value):
    if value is None:
        return "–"
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.3g}"


def budget_table(verdicts):
    lines = ["| what | budget | limit in this run | measured | ratio | |",
             "|---|---|---:|---:|---:|---|"]
    for v in verdicts:
        unit = f" {v['unit']}" if v["unit"] else ""
        lines.append(f"| {v['text']} | {v['asks']} | {figure(v['limit'])}{unit} | "
                     f"{figure(v['measured'])}{unit} | {v['ratio']:.2f} | "
                     f"{'met' if v['met'] else '**missed**'} |")
    return lines


def sample_table(samples):
    names = []
    for subjects in samples.values():
        names += [name for name in subjects if name not in names]
    short = [name for name in names if ":" not in name]
    lines = ["| metric | " + " | ".join(short) + " |", "|---|" + "---:|" * len(short)]
    for metric, subjects in samples.items():
        if any(":" in name for name in subjects):
            continue
        cells = [figure(statistics.median(subjects[name])) if name in subjects else ""
                 for name in short]
        lines.append(f"| `{metric}` | " + " | ".join(cells) + " |")
    rest = [(metric, name, values) for metric, subjects in samples.items()
            for name, values in subjects.items() if ":" in name]
    if rest:
        lines += ["", "| metric | case | median |", "|---|---|---:|"]
        lines += [f"| `{metric}` | {name} | {figure(statistics.median(values))} |"
                  for metric, name, values in rest]
    return lines


def scaling_table(details):
    curves = [(metric, subject, curve) for metric, subjects in details.items()
              if metric.startswith("scaling.") for subject, curve in subjects.items()]
    if not curves:
        return []
    lines = ["", "| curve | server | points | exponent |", "|---|---|---|---:|"]
    for metric, subject, curve in curves:
        points = ", ".join(f"{figure(x)}: {figure(y)}" for x, y in curve["points"])
        slope = f"{curve['exponent']:.2f}" if curve["exponent"] is not None else "–"
        lines.append(f"| `{metric}` | {subject} | {points} | {slope} |")
    return lines


def markdown(bench, verdicts, machine, title):
    cores = bench.cores.describe()
    lines = [f"# {title}", "",
             f"{bench.date}: {machine['processor']}, {cores['all']} cores (server "
             f"{cores['server']}, load {cores['load']}), {machine['memory_gib']} GiB, Linux "
             f"{machine['kernel']}, {machine['system']}; medians of {bench.rounds} rounds"
             f"{', quick run' if bench.quick else ''}.", ""]
    if verdicts:
        met = sum(v["met"] for v in verdicts)
        lines += [f"Budgets: {met} of {len(verdicts)} met. A ratio of 1 is the budget; below is "
                  "better.", ""] + budget_table(verdicts) + [""]
    if bench.samples:
        lines += ["Medians:", ""] + sample_table(bench.samples)
    lines += scaling_table(bench.details)
    if bench.notes:
        lines += ["", "Notes:", ""] + [f"- {note}" for note in bench.notes]
    return "\n".join(lines) + "\n"


def plots(bench, folder, stem):
    """Returns the files written."""
    try:
        import matplotlib
    except ImportError:
        bench.note("no plots: python3-matplotlib is not installed")
        return []
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "valija"
    from matplotlib import pyplot

    made = []

    def save(name, figure_):
        path = f"{folder}/{stem}-{name}.svg"
        figure_.tight_layout()
        figure_.savefig(path, metadata={"Date": None})
        pyplot.close(figure_)
        made.append(path)

    _latency(bench, pyplot, save)
    _memory(bench, pyplot, save)
    _curves(bench, pyplot, save, "scaling.maildrop_all_ms", "messages in the maildrop",
            "login+STAT+UIDL+LIST+QUIT, warm, ms", "maildrop")
    _curves(bench, pyplot, save, "scaling.connections_cpu_ms", "sessions open at once",
            "server CPU for all of them, ms", "connections")
    _curves(bench, pyplot, save, "scaling.message_cpu_us", "octets of a message",
            "server CPU a message, µs", "messages")
    return made


BEGIN, END = "<!-- figures: written by bench/run --publish -->", "<!-- end of figures -->"


def publish(text, pictures, docs):
    """Puts the tables between the marks of performance.md, and the plots beside it."""
    folder = f"{docs}/performance"
    os.makedirs(folder, exist_ok=True)
    shown = []
    for picture in sorted(pictures):
        name = os.path.basename(picture).split("-", 3)[3]
        shutil.copy(picture, f"{folder}/{name}")
        shown.append(f"![{name.split('.')[0]}](performance/{name})")
    with open(f"{docs}/performance.md") as file:
        page = file.read()
    before, rest = page.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    body = text.split("\n", 1)[1].strip()
    with open(f"{docs}/performance.md", "w") as file:
        file.write(before + BEGIN + "\n\n" + body + "\n\n" + "\n\n".join(shown) + "\n\n" + END
                   + after)


SHARES = (("p10", 10), ("p25", 25), ("p50", 50), ("p75", 75), ("p90", 90), ("p95", 95),
          ("p98", 98), ("p99", 99), ("p995", 99.5), ("p999", 99.9), ("p9999", 99.99))


def _latency(bench, pyplot, save):
    kinds = [(metric, label) for metric, label in (("login.latency", "plain"),
                                                   ("tls.latency", "TLS 1.3"))
             if metric in bench.details]
    if not kinds:
        return
    figure_, axes = pyplot.subplots(1, len(kinds), figsize=(5 * len(kinds), 3.6), squeeze=False)
    for axis, (metric, label) in zip(axes[0], kinds):
        for subject, curve in bench.details[metric].items():
            axis.plot([1 / (1 - share / 100) for _, share in SHARES],
                      [curve[name] for name, _ in SHARES], marker=".", label=subject)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xticks([2, 10, 100, 1000, 10000], ["50 %", "90 %", "99 %", "99.9 %", "99.99 %"])
        axis.set_title(f"login+STAT+QUIT, 64 connections, {label}", fontsize=9)
        axis.set_xlabel("share of the sessions")
        axis.set_ylabel("ms")
        axis.grid(alpha=0.3)
        axis.legend()
    save("latency", figure_)


def _memory(bench, pyplot, save):
    curves = bench.details.get("memory")
    if not curves:
        return
    figure_, axis = pyplot.subplots(figsize=(6, 3.8))
    for label, points in curves.items():
        axis.plot([x for x, _ in points], [y / 1048576 for _, y in points], marker=".",
                  label=label)
    axis.set_yscale("symlog", linthresh=1)
    axis.set_xlabel("idle connections")
    axis.set_ylabel("memory of all processes above idle, MiB (PSS)")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7)
    save("memory", figure_)


def _curves(bench, pyplot, save, metric, x_label, y_label, name):
    curves = bench.details.get(metric)
    if not curves:
        return
    figure_, axis = pyplot.subplots(figsize=(5.5, 3.6))
    for subject, curve in curves.items():
        slope = curve["exponent"]
        axis.plot([x for x, _ in curve["points"]], [y for _, y in curve["points"]], marker=".",
                  label=subject if slope is None else f"{subject}, exponent {slope:.2f}")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    save(name, figure_)

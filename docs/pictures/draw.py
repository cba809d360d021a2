#!/usr/bin/env python3
"""Draws the SVG files beside this script from measured data.

    draw.py             draw anew
    draw.py --check     fail if a drawing is not what the data gives
    draw.py --anatomy LAYOUT    take anatomy.json from an app image in an OCI layout, then draw

Data: anatomy.json (layers of an app image), ../bench.json (what `make bench` wrote).
"""
import json
import statistics
import sys
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent
STYLE = """
text{font:13px system-ui,sans-serif;fill:#1f2328}
.small{font-size:11px;fill:#59636e}.head{font-weight:600}.on{fill:#fff}.end{text-anchor:end}.mid{text-anchor:middle}
.box{fill:#f6f8fa;stroke:#8c959f}.base{fill:#59636e}.app{fill:#0969da}.tool{fill:#8250df}.pack{fill:#1a7f37}
.line{stroke:#59636e;fill:none;stroke-width:1.5}.theirs{fill:#afb8c1}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.on{fill:#fff}.box{fill:#151b23;stroke:#656c76}.line{stroke:#9198a1}.theirs{fill:#656c76}}
"""


def svg(width, height, body, title):
    arrow = '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#8c959f"/></marker></defs>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>{arrow}\n" + "\n".join(body) + "\n</svg>\n"
    )


def text(x, y, content, kind=""):
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(content)}</text>'


def box(x, y, width, height, kind="box"):
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" class="{kind}"/>'


def arrow(x1, y1, x2, y2):
    return f'<path d="M{x1} {y1} {x2} {y2}" class="line" marker-end="url(#a)"/>'


PHASES = [
    ("analyzer", "previous image, run image", "analyzed.toml"),
    ("detector", "app, order.toml", "group.toml, plan.toml"),
    ("restorer", "cache", "layers"),
    ("extender", "Dockerfiles of extensions", "extended images"),
    ("builder", "app, layers", "layers, processes"),
    ("exporter", "layers, app", "image, cache, report.toml"),
]


def phases():
    """The phases of a build, left what each reads, right what it writes; creator spans them."""
    body = [text(20, 24, "A build", "head"), text(20, 42, "reads", "small"), text(560, 42, "writes", "small")]
    for number, (name, reads, writes) in enumerate(PHASES):
        y = 54 + number * 52
        body += [box(300, y, 140, 34), text(370, y + 22, name, "mid head")]
        body += [text(20, y + 22, reads), arrow(220, y + 17, 296, y + 17)]
        body += [arrow(444, y + 17, 536, y + 17), text(545, y + 22, writes)]
        if number + 1 < len(PHASES):
            body.append(arrow(370, y + 34, 370, y + 50))
    bottom = 54 + len(PHASES) * 52
    body.append(f'<path d="M720 54H730V{bottom - 18}H720" class="line"/>')
    middle = (54 + bottom) // 2
    body += [text(740, middle - 12, "creator:", "small head"), text(740, middle + 3, "one process,", "small")]
    body.append(text(740, middle + 18, "no extender", "small"))
    y = bottom + 16
    body += [text(20, y, "Afterwards", "head")]
    for number, (name, what) in enumerate(
        [("rebaser", "swaps the base image under a finished app"), ("launcher", "in every app image: starts its processes")]
    ):
        row = y + 10 + number * 44
        body += [box(300, row, 140, 34), text(370, row + 22, name, "mid head"), text(460, row + 22, what)]
    return svg(830, y + 104, body, "Phases of a build")


def size(count):
    for unit in ("B", "KB", "MB"):
        if count < 1000 or unit == "MB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def anatomy(data):
    """The layers of a real image, top first, each with what made it and its compressed size."""
    body = [text(20, 24, f"Layers of {data['image']}", "head")]
    y = 40
    for layer in reversed(data["layers"]):
        body += [box(20, y, 470, 30, layer["kind"]), text(32, y + 20, layer["name"], "on")]
        body.append(text(580, y + 20, size(layer["size"]), "end"))
        y += 36
    body.append(text(20, y + 16, "Rebase swaps the run image's layers; what is unchanged is reused by its digest.", "small"))
    for number, (kind, name) in enumerate([("base", "run image"), ("pack", "buildpacks"), ("app", "app"), ("tool", "lifecycle")]):
        body += [box(20 + number * 120, y + 28, 12, 12, kind), text(38 + number * 120, y + 39, name, "small")]
    return svg(600, y + 56, body, "Layers of an app image")


def bench(data):
    """Median times of each command, the reference's below ours."""
    body = [text(20, 24, "Seconds: this lifecycle (blue), the reference (grey)", "head")]
    body.append(text(20, 42, f"Rounds: {data['rounds']} (medians); processors: {data['processors']}; {data['date']}", "small"))
    y, part = 52, None
    for row in (row for row in data["rows"] if row["baseline"]):
        if row["part"] != part:
            part = row["part"]
            body.append(text(20, y + 20, part, "head"))
            y += 28
        ours, theirs = (statistics.median(row[side]["seconds"]) for side in ("subject", "baseline"))
        scale = 300 / max(ours, theirs)
        body += [text(20, y + 20, row["name"]), box(290, y + 3, round(max(ours * scale, 1), 1), 11, "app")]
        body += [box(290, y + 16, round(max(theirs * scale, 1), 1), 11, "theirs")]
        body += [text(598, y + 13, f"{ours:.2f}", "small"), text(598, y + 26, f"{theirs:.2f}", "small")]
        body.append(text(700, y + 20, f"{theirs / ours:.1f}×", "end head"))
        y += 34
    return svg(720, y + 16, body, "Benchmark")


KINDS = [("Layer: ", "pack"), ("Application Layer", "app"), ("Buildpacks ", "tool"), ("Software ", "tool")]


def read_layout(layout):
    """An app image's layers: name from its history, kind from how the exporter words that."""
    blob = lambda digest: json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())
    manifest = blob(json.loads((layout / "index.json").read_text())["manifests"][0]["digest"])
    history = [entry for entry in blob(manifest["config"]["digest"])["history"] if not entry.get("empty_layer")]
    layers = []
    for descriptor, entry in zip(manifest["layers"], history, strict=True):
        name = entry.get("created_by") or "run image"
        kind = next((kind for start, kind in KINDS if name.startswith(start)), "base")
        layers.append({"name": name, "kind": kind, "size": descriptor["size"]})
    return layers


def main(arguments):
    if arguments[:1] == ["--anatomy"]:
        data = {"image": "buildpacks/apps/python, built by creator", "layers": read_layout(Path(arguments[1]))}
        (HERE / "anatomy.json").write_text(json.dumps(data, indent=1) + "\n")
    drawings = {
        "phases.svg": phases(),
        "anatomy.svg": anatomy(json.loads((HERE / "anatomy.json").read_text())),
        "bench.svg": bench(json.loads((HERE.parent / "bench.json").read_text())),
    }
    for name, drawing in drawings.items():
        path = HERE / name
        if arguments == ["--check"]:
            if not path.exists() or path.read_text() != drawing:
                sys.exit(f"{path} is not what its data gives: run docs/pictures/draw.py")
        else:
            path.write_text(drawing)


main(sys.argv[1:])

# SPDX-License-Identifier: MIT
"""The plot of bench/compare: one SVG file with a panel of bars for each unit, nothing loaded from elsewhere."""

from xml.sax.saxutils import escape

NAMESPACE = "http:" + "//www.w3.org/2000/svg"  # a name, not an address

WIDTH, LEFT, RIGHT = 900, 150, 110
BAR, GAP, HEAD, FOOT = 11, 9, 46, 16
COLOURS = ["#8c959f", "#1f6feb", "#d1570c", "#1a7f37", "#8250df", "#bf3989"]


def text_of(value):
    return "-" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def panel_height(rows, names):
    return HEAD + len(rows) * (BAR * len(names) + GAP) + FOOT


def panel(top, unit, rows, names):
    """The elements of one panel; bars begin at 0, and the longest fills the width."""
    highest = max((value for _, values in rows for value in values if value is not None), default=0) or 1
    out = [f'<text class="title" x="{LEFT}" y="{top + 24}">{escape(unit)}</text>']
    at = top + HEAD
    for label, values in rows:
        middle = at + BAR * len(names) / 2 + 4
        out.append(f'<text x="{LEFT - 8}" y="{middle:.0f}" text-anchor="end">{escape(label)}</text>')
        for index, value in enumerate(values):
            length = max(0, value or 0) / highest * (WIDTH - LEFT - RIGHT)
            colour = COLOURS[index % len(COLOURS)]
            out.append(f'<rect x="{LEFT}" y="{at}" width="{length:.1f}" height="{BAR - 2}" fill="{colour}"/>')
            out.append(f'<text class="value" x="{LEFT + length + 5:.1f}" y="{at + BAR - 2}">{text_of(value)}</text>')
            at += BAR
        at += GAP
    return out


def legend(names):
    out, at = [], LEFT
    for index, name in enumerate(names):
        out.append(f'<rect x="{at}" y="12" width="12" height="12" fill="{COLOURS[index % len(COLOURS)]}"/>')
        out.append(f'<text x="{at + 18}" y="22">{escape(name)}</text>')
        at += 40 + 8 * len(name)
    return out


def write(path, names, panels):
    """panels: [(unit, [(label, [a value, or None, for each name])])]."""
    out, top = legend(names), 30
    for unit, rows in panels:
        out += panel(top, unit, rows, names)
        top += panel_height(rows, names)
    style = ("text{font:12px system-ui,sans-serif;fill:#57606a}.title{font-weight:600;font-size:14px;fill:#1f2328}"
             ".value{font-size:10px}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'<svg xmlns="{NAMESPACE}" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}">\n'
                   f'<style>{style}</style><rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(out) + "\n</svg>\n")

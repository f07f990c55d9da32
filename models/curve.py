# SPDX-License-Identifier: MIT
"""A loss curve as an SVG file, drawn by hand: training needs no plotting package."""
WIDTH, HEIGHT, LEFT, BOTTOM = 720, 360, 60, 40


def smooth(values, weight=0.95):
    """Running mean that starts at the first value."""
    out, mean = [], values[0]
    for value in values:
        mean = weight * mean + (1 - weight) * value
        out.append(mean)
    return out


def draw(path, title, losses):
    """Writes the curve of one loss per step, raw in grey and smoothed in blue."""
    top = max(losses)
    right, floor = WIDTH - 20, HEIGHT - BOTTOM

    def line(values, style):
        points = " ".join("%.1f,%.1f" % (LEFT + (right - LEFT) * i / max(1, len(values) - 1),
                                         floor - (floor - 40) * v / top) for i, v in enumerate(values))
        return '<polyline fill="none" %s points="%s"/>' % (style, points)

    thin = losses[::max(1, len(losses) // 1500)]
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">'
             % (WIDTH, HEIGHT), '<rect width="100%" height="100%" fill="white"/>',
             '<text x="%d" y="24" font-size="15">%s</text>' % (LEFT, title)]
    for k in range(5):
        y = floor - (floor - 40) * k / 4
        parts.append('<path d="M%d %.1fH%d" stroke="#ddd"/><text x="8" y="%.1f">%.2f</text>'
                     % (LEFT, y, right, y + 4, top * k / 4))
    parts += [line(thin, 'stroke="#bbb"'), line(smooth(losses)[::max(1, len(losses) // 1500)],
                                               'stroke="#1a5fb4" stroke-width="2"'),
              '<text x="%d" y="%d">step 0</text><text x="%d" y="%d" text-anchor="end">step %d</text></svg>'
              % (LEFT, HEIGHT - 14, right, HEIGHT - 14, len(losses))]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(parts) + "\n")

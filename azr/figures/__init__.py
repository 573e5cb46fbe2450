"""Drawing only: the look (``style``), what figures share (``panels``), one module a figure, named as the figure.

    frame = accuracy.over_steps(frames["test"])
    style.save(fig01_sft.plot(frame), "fig01_sft", frame, "figures")

Every module has ``plot(frame, reference=None) -> Figure``: one tidy frame in, and the same frame of the reference study
to be drawn pale behind it. ``catalogue`` knows which table each figure is drawn from. Left out: every statistic
(``azr.tables``), and captions longer than a line, which are the notebooks'.
"""

"""Drawing only: the look (``style``), what figures share (``panels``), one module a figure, named as the figure.

    figure, frame = catalogue.draw("fig01_sft", frames)
    style.save(figure, "fig01_sft", frame, "figures")

Every module has ``plot(frame) -> Figure``: one tidy frame, in which ``pale`` tells the rows of the reference study,
drawn behind (``panels.overlay``). ``catalogue`` knows which table each figure is drawn from. Left out: every statistic
(``azr.tables``), and captions longer than a line, which are the notebooks'.
"""

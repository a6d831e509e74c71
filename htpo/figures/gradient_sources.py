"""Where the gradient comes from: each group's share of tokens, of sum |w A| and of the predicted entropy change."""

from matplotlib.ticker import MaxNLocator, PercentFormatter

from htpo.analysis.token_analysis import TokenAnalysis
from htpo.figures.drawing import BLACK, Drawing, caption, group_style, legend_beside, panels

LABELS = {
    "token_share": "share of tokens",
    "weight_share": "share of sum |w A|",
    "entropy_change_share": "share of predicted entropy change",
}


def draw_gradient_sources(tokens: TokenAnalysis, title: str) -> Drawing:
    """Every group's shares over training."""
    shares, table = tokens.gradient_sources, tokens.table
    figure, grid = panels(len(LABELS), 3, title, height=4.0)
    for axes, (name, label) in zip(grid, LABELS.items(), strict=True):
        for index, (group, described) in enumerate(table.groups.items()):
            own = shares[shares["group"] == group].groupby("step", as_index=False)[list(LABELS)].mean()
            colour, line = group_style(index, len(table.groups))
            axes.plot(own["step"], own[name], line, color=colour, label=described, linewidth=1.5, marker=".")
        axes.axhline(0, color=BLACK, linewidth=0.8)
        axes.set(xlabel="update", ylabel=label)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_beside(figure, grid[0])
    least, most = shares["responses"].min(), shares["responses"].max()
    n = f"{least}" if least == most else f"{least} to {most}"
    runs = shares["run"].nunique()
    many = f" in each of {runs} runs, whose mean is shown" if runs > 1 else ""
    whose = "" if table.grouped_in_training else " Groups are HTPO's partition, which this objective did not use."
    caption(
        figure,
        f"n = {n} responses kept of each update{many}. Predicted entropy change: minus the group's part of "
        "Cov(log p, A) over the update's tokens, as a share of the sum of absolute parts; below 0 lowers entropy."
        + whose,
    )
    return Drawing(figure, shares.to_dict("records"))

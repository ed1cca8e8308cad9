"""The picture at the top of the README: eight maps of two scenes, with the mean score over a hundred scenes and the cost of each.

python benchmarks/front.py    # Writes nbs/images/front.png and nbs/images/front.csv, in half a minute on one core
"""
from pathlib import Path
import pandas as pd
from matplotlib.ticker import PercentFormatter
from xainb.all import *
from xainb.core import explainer_registry
from xainb.stats import interval
from xainb.viz import as_picture, canvas, colors, draw_ground_truth, style

images = Path(__file__).parent.parent/'nbs'/'images'
shown = dict(occlusion=dict(window=8, stride=4), gradcam={}, lrp={}, guided_backprop={}, integrated_gradients={},
             sobel={}, center_blob={}, random_control={})
controls = 'sobel', 'center_blob', 'random_control'
titles = dict(occlusion='occlusion', gradcam='Grad-CAM', lrp='LRP', guided_backprop='guided backprop',
              integrated_gradients='integrated\ngradients', sobel='edges\n(control)', center_blob='center blob\n(control)',
              random_control='random\n(control)')

def measure(n=100):
    "Scenes, maps of each explainer, and a table with its mean tile share and its passes per image"
    model, scenes = build_model('demo/resnet'), DecoyScenes('test', n=n, seed=3)
    target, maps, rows = logits(model, scenes.x).argmax(1), {}, []
    for name, params in shown.items():
        with count_passes(model) as passes: attribution = explainer_registry[name](model, scenes.x, target, **params)
        maps[name] = pixel_map(attribution)
        scores = tile_scores(model, scenes.x, target, attribution, scenes.ground_truth)
        share = scores[scores.metric == 'tile_share'].value.dropna()
        mean, low, high, *_ = interval(share)
        rows.append(dict(explainer=name, tile_share=mean, low=low, high=high, scenes=len(share),
                         passes=(passes.forward + passes.backward)/n))
    return scenes, maps, pd.DataFrame(rows)

def draw(scenes, maps, table, at=(0, 1)):
    "Two rows of maps, and a bar with the score below each column"
    fig, axes = canvas(3, 1 + len(maps), size=(1.28, 1.28))
    for row, i in zip(axes, at):
        row[0].imshow(as_picture(scenes.x[i]))
        for ax, m in zip(row[1:], maps.values()): ax.imshow(m[i], cmap='magma', vmin=0, vmax=m[i].quantile(.995))
        for ax in row:
            draw_ground_truth(ax, scenes.ground_truth[i])
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
    axes[0, 0].set_title('scene', loc='center')
    for ax, name in zip(axes[0, 1:], maps): ax.set_title(titles[name], loc='center')
    axes[2, 0].axis('off')
    axes[2, 0].text(0, .5, 'attribution\non the digit,\nby chance 25%', va='center', transform=axes[2, 0].transAxes)
    for ax, row in zip(axes[2, 1:], table.itertuples()): draw_score(ax, row)
    return fig

def draw_score(ax, row):
    "A bar with its value and 95 % interval, the dotted line of chance, and the number of passes below"
    ax.bar([0], [row.tile_share], color=colors([row.explainer])[row.explainer], width=.6)
    ax.plot([0, 0], [row.low, row.high], color='black', linewidth=1.5)
    ax.axhline(.25, color='#444444', linestyle=':', linewidth=1)
    ax.text(0, row.high + .04, f'{row.tile_share:.0%}', ha='center')
    ax.set(xticks=[], yticks=[], ylim=(0, 1.2), xlim=(-.7, .7), xlabel=f'{row.passes:.0f} passes')
    ax.spines['left'].set_visible(False)

if __name__ == '__main__':
    scenes, maps, table = measure()
    with style(): draw(scenes, maps, table).savefig(images/'front.png', dpi=100, metadata=dict(Software=None))
    table.round(4).to_csv(images/'front.csv', index=False)
    print(table)

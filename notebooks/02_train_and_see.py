# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Train, and see
#
# Three spiral arms wind around each other; a net shall say which arm a point belongs to. We look at what a linear
# classifier can do, write the training loop, and watch how the decision regions of a small net grow into the spirals.

# %%
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap

import autodiff as ad
from autodiff import nn, optim
from autodiff.datasets import spirals
from autodiff.nn import functional as F
from autodiff.train import Trainer, accuracy
from autodiff.utils.data import DataLoader, TensorDataset
from autodiff.viz import draw
from autodiff.viz.plots import training_curves

plt.rcParams.update({"figure.dpi": 110, "font.size": 10, "figure.constrained_layout.use": True})
COLOURS = ["#3b6fb6", "#d1602f", "#3f9b57"]

x, y = spirals(600, arms=3, turns=0.8, noise=0.03, seed=0)
x_test, y_test = spirals(300, arms=3, turns=0.8, noise=0.03, seed=1)
x.shape, y.shape, x.dtype, y.dtype

# %% [markdown]
# A picture of a classifier: the colour of a place is the class that the model finds most probable there, its strength
# is how sure the model is.

# %%
side = ad.linspace(-1.3, 1.3, 160)
rows, columns = ad.meshgrid(side, side, indexing="ij")
grid = ad.stack([columns.flatten(), rows.flatten()], 1)  # (25600, 2): every point of the picture


@ad.no_grad()
def show(axes, model, title):
    """Draw the decision regions of a model and the test points."""
    model.eval()
    probabilities = F.softmax(model(grid), 1).view(160, 160, 3).numpy()
    model.train()
    extent = (-1.3, 1.3, -1.3, 1.3)
    strength = 0.15 + 0.45 * (probabilities.max(-1) - 1 / 3) / (2 / 3)
    winner = probabilities.argmax(-1)
    axes.imshow(winner, cmap=ListedColormap(COLOURS), alpha=strength, extent=extent, origin="lower", vmin=0, vmax=2)
    for k in range(3):  # the border of a class is where it ties with the best of the others
        lead = probabilities[..., k] - np.delete(probabilities, k, -1).max(-1)
        axes.contour(lead, levels=[0], colors="black", linewidths=0.8, extent=extent)
    points = x_test.numpy()
    axes.scatter(points[:, 0], points[:, 1], c=[COLOURS[k] for k in y_test], s=7, edgecolors="white", linewidths=0.3)
    axes.set(title=title, xticks=[], yticks=[])


# %% [markdown]
# ## What a linear classifier sees
#
# A linear layer gives each class a score $s_k = v_k \cdot x + b_k$. Cross-entropy compares the softmax of the scores
# with the right class, $L = -\log \frac{e^{s_y}}{\sum_k e^{s_k}}$. The loop is PyTorch's: forward, backward, step.

# %%
ad.manual_seed(0)
linear = nn.Linear(2, 3)
optimizer = optim.Adam(linear.parameters(), lr=0.1)
for _ in range(100):
    loss = F.cross_entropy(linear(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

print(f"loss {loss.item():.3f}, test accuracy {accuracy(linear(x_test), y_test):.1%}")
figure, axes = plt.subplots(figsize=(3.6, 3.6))
show(axes, linear, "linear: regions are polygons")

# %% [markdown]
# Where two classes tie, $s_j = s_k$ is a linear equation: the border is a straight line, and the regions are polygons
# whatever the training does. No polygon is a spiral.
#
# ## A small net
#
# Two hidden layers bend the plane before the last layer cuts it. Here the `Trainer` runs the loop; it does what is
# written above, in mini-batches that are shuffled anew in every epoch, and keeps the history.

# %%
ad.manual_seed(0)
model = nn.Sequential(
    nn.Linear(2, 64),
    nn.Tanh(),
    nn.Linear(64, 64),
    nn.Tanh(),
    nn.Linear(64, 3),
)
epochs = 60
train_loader = DataLoader(TensorDataset(x, y), batch_size=50, shuffle=True)
test_loader = DataLoader(TensorDataset(x_test, y_test), batch_size=300)
optimizer = optim.Adam(model.parameters(), lr=0.01)
scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
trainer = Trainer(model, optimizer, nn.CrossEntropyLoss(), scheduler=scheduler, metrics={"accuracy": accuracy},
                  progress=False)

figure, axes = plt.subplots(1, 4, figsize=(11, 3))
for ax, until in zip(axes, (0, 5, 15, epochs), strict=True):
    trainer.fit(train_loader, test_loader, epochs=until)
    show(ax, model, f"after {until} epochs: {accuracy(model(x_test), y_test):.0%}")

# %% [markdown]
# First the net is a linear classifier with soft borders, then the borders bend, at last they follow the arms. The
# history says the same in numbers:

# %%
_, axes = plt.subplots(1, 2, figsize=(8, 2.8))
for ax, name in zip(axes, ("loss", "accuracy"), strict=True):
    training_curves(trainer.history, ax, value=name)
final = trainer.history[-1]
print(f"test accuracy {final['test_accuracy']:.1%}, {sum(entry['seconds'] for entry in trainer.history):.1f} s")
assert final["test_accuracy"] > 0.95

# %% [markdown]
# ## The step, as a graph
#
# What ran in one training step? The library recorded it: the forward pass, the backward pass that the chain rule made
# of it, and the optimizer's update, which is one operation over all parameters.

# %%
inputs, targets = next(iter(train_loader))
draw(trainer.step, inputs, targets, title="One training step", direction="LR")

# %% [markdown]
# With `depth` the modules close into boxes: the same step from further away.

# %%
draw(trainer.step, inputs, targets, depth=0, title="The same step, one box a module", direction="LR")

# %% [markdown]
# ## How fast to learn
#
# One number decides more than any other. Too small a learning rate crawls; too large a one jumps from wall to wall and
# may never come down. Gradient descent with all points in every step, from the same weights:

# %%
figure, axes = plt.subplots(figsize=(7, 3))
for lr in (0.02, 0.2, 2.0, 20.0):
    ad.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 3))
    descent = optim.SGD(net.parameters(), lr=lr)
    losses = []
    for _ in range(400):
        loss = F.cross_entropy(net(x), y)
        descent.zero_grad()
        loss.backward()
        descent.step()
        losses.append(loss.item())
    axes.plot(losses, label=f"{lr:g}", linewidth=1.2)
axes.set(xlabel="step", title="training loss", yscale="log")
axes.grid(alpha=0.3)
_ = axes.legend(title="learning rate", loc="center left", bbox_to_anchor=(1, 0.5))

# %% [markdown]
# ## When something does not fit
#
# A wrong shape is found before anything is computed, and the message names your line:

# %%
try:
    model(ad.ones(50, 3))
except ValueError as error:
    print(error)

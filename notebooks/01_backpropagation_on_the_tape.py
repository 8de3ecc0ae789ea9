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
# # Back-propagation on the tape
#
# Back-propagation is the chain rule, read from the end. This notebook does it by hand, on the records that the library
# itself sweeps: first one layer and its Jacobian, then a chain of layers, then a graph in which a value is used twice.
#
# Every operation on a tensor that leads to a gradient leaves a *record*: what was computed, from what, and the arrays
# that its derivative needs. The records in order are the *tape*.

# %%
import matplotlib.pyplot as plt
import numpy as np

import autodiff as ad
from autodiff.autograd.functional import jacobian
from autodiff.eager import tape_of
from autodiff.nn import functional as F
from autodiff.viz import draw

ad.manual_seed(0)
plt.rcParams.update({"figure.dpi": 110, "font.size": 10, "figure.constrained_layout.use": True})

# %% [markdown]
# ## One layer and its local Jacobian
#
# A fully connected layer with 3 inputs and 2 outputs computes $z = Vx + b$. Its parameters, read row by row of $V$ and
# then $b$, are one vector of 8 numbers:
#
# $$w = (v_{11}, v_{12}, v_{13}, v_{21}, v_{22}, v_{23}, b_1, b_2).$$
#
# Since $z_i = \sum_j v_{ij} x_j + b_i$, the derivative of $z_i$ by $v_{ij}$ is $x_j$, that by $b_i$ is 1, and that by
# anything of the other row is 0:
#
# $$\frac{\partial z}{\partial w} =
# \begin{pmatrix} x_1 & x_2 & x_3 & 0 & 0 & 0 & 1 & 0 \\ 0 & 0 & 0 & x_1 & x_2 & x_3 & 0 & 1 \end{pmatrix},
# \qquad \frac{\partial z}{\partial x} = V.$$

# %%
x = ad.tensor([0.5, -1.0, 2.0], dtype=ad.float64)
V = ad.tensor([[1.0, 0.2, -0.3], [-0.5, 0.7, 0.4]], dtype=ad.float64)
b = ad.tensor([0.1, -0.2], dtype=ad.float64)


def layer(x, V, b):
    return F.linear(x, V, b)


dz_dx, dz_dV, dz_db = jacobian(layer, (x, V, b))
dz_dx.shape, dz_dV.shape, dz_db.shape

# %% [markdown]
# `jacobian` returns one block an argument, of the shape *output × argument*. Flattening $V$ row by row and putting $b$
# behind it gives the matrix above.

# %%
dz_dw = ad.cat([dz_dV.reshape(2, 6), dz_db], 1)
dz_dw

# %%
NAMES = ["$v_{11}$", "$v_{12}$", "$v_{13}$", "$v_{21}$", "$v_{22}$", "$v_{23}$", "$b_1$", "$b_2$"]


def show(axes, matrix, title, columns=None, rows=None):
    """Draw a matrix as coloured squares with its numbers."""
    matrix = np.atleast_2d(matrix.numpy())
    axes.imshow(matrix, cmap="RdBu_r", vmin=-2.5, vmax=2.5)
    for (i, j), value in np.ndenumerate(matrix):
        dark = abs(value) > 1.5
        axes.text(j, i, f"{value:.3g}", ha="center", va="center", color="white" if dark else "black", fontsize=9)
    axes.set_xticks(range(matrix.shape[1]), columns or [""] * matrix.shape[1])
    axes.set_yticks(range(matrix.shape[0]), rows or [""] * matrix.shape[0])
    axes.tick_params(length=0)
    axes.set_title(title, fontsize=11)


figure, axes = plt.subplots(figsize=(7, 2.3))
show(axes, dz_dw, r"$\partial z/\partial w$ for $x = (0.5,\ -1,\ 2)$", NAMES, ["$z_1$", "$z_2$"])

# %%
expected = ad.tensor([[0.5, -1, 2, 0, 0, 0, 1, 0], [0, 0, 0, 0.5, -1, 2, 0, 1]], dtype=ad.float64)
assert ad.equal(dz_dw, expected)
assert ad.equal(dz_dx, V)

# %% [markdown]
# Most of it is zeros. Nobody stores such a matrix: what back-propagation needs is never the Jacobian $J$ itself but the
# product $u^\top J$ with one row vector, the *cotangent* of the output. For this layer that product is
#
# $$u^\top \frac{\partial z}{\partial x} = u^\top V, \qquad
#   u^\top \frac{\partial z}{\partial V} = u x^\top, \qquad
#   u^\top \frac{\partial z}{\partial b} = u^\top.$$
#
# Each operation of the library brings this product along: its *vjp* (vector-Jacobian product).
#
# ## A chain of layers
#
# Now a small net, $x \to z = Vx + b \to y = \tanh z \to L = \frac12\lVert y - t\rVert^2$, and its tape:

# %%
for leaf, name in ((x, "x"), (V, "V"), (b, "b")):
    leaf.requires_grad_()
    leaf.name = name
t = ad.tensor([0.3, -0.8], dtype=ad.float64)

z = layer(x, V, b)
y = z.tanh()
loss = ((y - t) ** 2).sum() / 2
print(tape_of(loss))

# %% [markdown]
# Each line is one record. A record also knows which line of the program made it:

# %%
for record in tape_of(loss):
    print(f"{record.name:8} {record.line.text}")

# %% [markdown]
# The local Jacobian of one record, by hand: one vjp with each unit vector gives one row.


# %%
@ad.no_grad()
def local_jacobian(record, position=0):
    """Return the Jacobian of a record's output by its input number `position`, both read as vectors."""
    output, size = record.outputs[0], record.inputs[position].size
    rows = []
    for unit in ad.eye(output.size, dtype=output.dtype):
        gradients = record.primitive.vjp(record, unit.reshape(output.shape))
        rows.append(gradients[position].reshape(size))
    return ad.stack(rows)


records = {record.name: record for record in tape_of(loss)}
jacobians = {name: local_jacobian(record) for name, record in records.items()}
for name, J in jacobians.items():
    print(f"{name:8} {tuple(J.shape)}  {[[round(v, 3) for v in row] for row in J.tolist()]}")

# %% [markdown]
# The Jacobian of $\tanh$ is diagonal, $1 - y_i^2$; that of $y - t$ is the identity. Multiplying all of them, last
# operation first, gives the derivative of the loss by $x$:
#
# $$\frac{\partial L}{\partial x}
#  = \frac{\partial L}{\partial y}\,\frac{\partial y}{\partial z}\,\frac{\partial z}{\partial x}.$$
#
# `backward` must find the same numbers, without a single matrix.

# %%
product = ad.eye(1, dtype=ad.float64)
for record in reversed(list(tape_of(loss))):
    product = product @ jacobians[record.name]

loss.backward(retain_graph=True)
print("product of Jacobians", product[0])
print("backward            ", x.grad)
assert ad.allclose(product[0], x.grad, rtol=1e-12)

# %% [markdown]
# The same for the parameters: the chain up to $z$, times the 2 × 8 matrix from above.

# %%
dL_dy = y.detach() - t
dy_dz = jacobians["tanh"]
dL_dw = dL_dy[None] @ dy_dz @ dz_dw
assert ad.allclose(dL_dw[0], ad.cat([V.grad.flatten(), b.grad]), rtol=1e-12)

figure, axes = plt.subplots(1, 4, figsize=(11, 2.2), width_ratios=[2, 2, 8, 8])
show(axes[0], dL_dy, r"$\partial L/\partial y$")
show(axes[1], dy_dz, r"$\partial y/\partial z$")
show(axes[2], dz_dw, r"$\partial z/\partial w$", NAMES)
show(axes[3], dL_dw, r"product: $\partial L/\partial w$", NAMES)

# %% [markdown]
# ## Why from the end?
#
# Matrix products may be bracketed in any order. With $n$ numbers in each of $K$ layers and one loss, starting at the
# loss multiplies a *row* by a matrix $K$ times, $K n^2$ multiplications. Starting at the input multiplies matrices,
# $K n^3$. For $n = 1000$ that is a factor of a thousand. And with the vjps the matrices are not even written down.
#
# ## A value that is used twice
#
# Where a value goes two ways, a change of it reaches the loss both ways, and the effects add up. So what comes back
# along the two ways is added. Together with the vjps this is the whole algorithm:


# %%
@ad.no_grad()
def gradients_by_hand(loss):
    """Sweep the tape backward: each record turns the cotangent of its output into those of its inputs."""
    cotangents = {loss.edge: ad.ones_like(loss)}
    for record in reversed(list(tape_of(loss))):
        cotangent = cotangents.pop((record, 0))
        gradients = record.primitive.vjp(record, cotangent)
        for edge, gradient in zip(record.edges, gradients, strict=True):
            if edge is not None and gradient is not None:
                cotangents[edge] = cotangents[edge] + gradient if edge in cotangents else gradient
    return {leaf.name: gradient for leaf, gradient in cotangents.items()}


x.grad = None
h = layer(x, V, b).tanh()
loss = (h * h[0] + h.exp()).sum()  # h is used three times
by_hand = gradients_by_hand(loss)
loss.backward(retain_graph=True)
for name, gradient in by_hand.items():
    print(f"{name}: {gradient.flatten()}")
assert ad.allclose(by_hand["x"], x.grad, rtol=1e-12)

# %% [markdown]
# When a record's turn comes, all later records have run, so everything that flows back into it has arrived: the order
# of the tape, reversed, is always a right order. The graph that was swept, each arrow a value:

# %%
draw(loss, title="Three uses of h")

# %% [markdown]
# Forward and backward together. The backward pass is made of the same operations; nothing else is needed to
# differentiate it once more.

# %%
draw(lambda x: layer(x, V, b).tanh().sum(), x, backward=True, title="Forward and backward", direction="LR")

# %%
s = ad.tensor(0.7, dtype=ad.float64, requires_grad=True)
(slope,) = ad.autograd.grad(s.sin(), s, create_graph=True)
(bend,) = ad.autograd.grad(slope, s)
print(f"sin' = {slope.item():.6f} = cos,  sin'' = {bend.item():.6f} = -sin")

# %% [markdown]
# ## Never trust a gradient
#
# A derivative can be checked against differences, $\frac{f(x + \epsilon) - f(x - \epsilon)}{2\epsilon}$. In double
# precision they agree to about ten digits. `gradcheck` compares every element, `gradgradcheck` does it for second
# derivatives.

# %%
assert ad.autograd.gradcheck(lambda *leaves: layer(*leaves).tanh(), (x, V, b))
assert ad.autograd.gradgradcheck(lambda *leaves: layer(*leaves).tanh(), (x, V, b))

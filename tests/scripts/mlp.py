"""A multilayer perceptron learns to tell three spiral arms apart."""

import argparse
import copy

import numpy as np
import torch
import torch.nn as nn

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=150)
parser.add_argument("--lr", type=float, default=1e-2)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--weights", help="initial weights, an .npz file")
parser.add_argument("--log-interval", type=int, default=50)


def spirals(n, arms=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, arms, n)
    radius = np.sqrt(rng.random(n))
    angle = 2 * np.pi * (0.75 * radius + y / arms)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1) + 0.03 * rng.standard_normal((n, 2))
    return torch.tensor(x, dtype=torch.float32), torch.from_numpy(y)


@torch.no_grad()
def accuracy(model, x, y):
    model.eval()
    correct = model(x).argmax(dim=1).eq(y).sum().item()
    model.train()
    return correct / len(y)


def main(argv=None):
    args = parser.parse_args(argv)
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    x, y = spirals(300)
    x_test, y_test = spirals(100, seed=1)
    x, y = x.to(device), y.to(device)
    x_test, y_test = x_test.to(device), y_test.to(device)
    print(x[:3], y[:3], x.mean(), x.dtype, x.shape, x.size(0), x.device)

    model = nn.Sequential(
        nn.Linear(2, 32),
        nn.Tanh(),
        nn.Linear(32, 32),
        nn.ReLU(),
        nn.Linear(32, 3),
    ).to(device)
    if args.weights:
        model.load_state_dict({name: torch.from_numpy(array) for name, array in np.load(args.weights).items()})
    print(model)
    print(f"{sum(p.numel() for p in model.parameters() if p.requires_grad):,} parameters")

    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr, betas=(0.9, 0.99), weight_decay=1e-5)
    initial = {name: p.detach().cpu().numpy().copy() for name, p in model.named_parameters()}

    losses, best, best_model = [], 0.0, None
    for epoch in range(1, args.epochs + 1):
        optimizer.zero_grad()
        output = model(x)
        loss = criterion(output, y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if epoch % args.log_interval == 0:
            test_accuracy = accuracy(model, x_test, y_test)
            print(f"epoch {epoch:4d}  loss {loss.item():.4f}  test accuracy {100 * test_accuracy:.1f}%")
            if test_accuracy > best:
                best, best_model = test_accuracy, copy.deepcopy(model)

    with torch.no_grad():
        probabilities = torch.softmax(best_model(x_test), dim=-1) if best_model else None
    print(probabilities)
    return {"losses": losses, "accuracy": best, "initial": initial}


if __name__ == "__main__":
    main()

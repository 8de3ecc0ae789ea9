"""A residual net with batch normalization finds out which way small waves run."""

import argparse
import math

import numpy as np
import torch
from torch import nn, optim
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, Dataset, random_split


class Waves(Dataset):
    """Plane waves of random phase and length in one of `classes` directions, in noise."""

    def __init__(self, n, classes=4, size=8, seed=0):
        rng = np.random.default_rng(seed)
        self.labels = torch.as_tensor(rng.integers(0, classes, n))
        angle = torch.pi * self.labels.float() / classes
        length = torch.as_tensor(rng.uniform(3, 6, n), dtype=torch.float32)
        phase = torch.as_tensor(rng.uniform(0, 2 * math.pi, n), dtype=torch.float32)
        grid = torch.arange(size, dtype=torch.float32)
        along = (torch.cos(angle)[:, None, None] * grid[None, None, :]
                 + torch.sin(angle)[:, None, None] * grid[None, :, None])
        waves = torch.sin(2 * math.pi * along / length[:, None, None] + phase[:, None, None])
        noise = torch.from_numpy(rng.standard_normal((n, size, size)).astype("float32"))
        self.images = (waves + 0.5 * noise).unsqueeze(1)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.images[index], self.labels[index]


def conv3x3(in_planes, out_planes, stride=1):
    return nn.Conv2d(in_planes, out_planes, kernel_size=3, stride=stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    expansion: int = 1

    def __init__(self, inplanes, planes, stride=1, downsample=None):
        super().__init__()
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x):
        identity = x

        out = self.conv1(x)
        out = self.bn1(out)
        out = self.relu(out)

        out = self.conv2(out)
        out = self.bn2(out)

        if self.downsample is not None:
            identity = self.downsample(x)

        out += identity
        out = self.relu(out)

        return out


class ResNet(nn.Module):
    def __init__(self, block, layers, num_classes=4):
        super().__init__()
        self.inplanes = 8
        self.conv1 = nn.Conv2d(1, self.inplanes, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(self.inplanes)
        self.layer1 = self._make_layer(block, 8, layers[0])
        self.layer2 = self._make_layer(block, 16, layers[1], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(16 * block.expansion, num_classes)

        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)
        # Each residual branch starts as zero (Goyal et al., 2017).
        for m in self.modules():
            if isinstance(m, BasicBlock) and m.bn2.weight is not None:
                nn.init.constant_(m.bn2.weight, 0)

    def _make_layer(self, block, planes, blocks, stride=1):
        downsample = None
        if stride != 1 or self.inplanes != planes * block.expansion:
            downsample = nn.Sequential(
                nn.Conv2d(self.inplanes, planes * block.expansion, 1, stride, bias=False),
                nn.BatchNorm2d(planes * block.expansion),
            )
        layers = [block(self.inplanes, planes, stride, downsample)]
        self.inplanes = planes * block.expansion
        layers += [block(self.inplanes, planes) for _ in range(1, blocks)]
        return nn.Sequential(*layers)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.avgpool(x)
        x = torch.flatten(x, 1)
        x = self.fc(x)
        return x


def evaluate(model, loader):
    model.eval()
    correct, seen, confusion = 0, 0, torch.zeros(4, 4, dtype=torch.int64)
    with torch.inference_mode():
        for images, labels in loader:
            predicted = model(images).max(1)[1]
            correct += (predicted == labels).sum().item()
            seen += len(labels)
            for t, p in zip(labels, predicted):
                confusion[t, p] += 1
    assert confusion.sum() == seen and confusion.diagonal().sum() == correct
    return correct / seen, confusion


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--clip", type=float, default=1.0)
    parser.add_argument("--no-shuffle", action="store_true")
    parser.add_argument("--weights", help="initial weights, an .npz file")
    args = parser.parse_args(argv)

    torch.manual_seed(0)
    data = Waves(480)
    if args.no_shuffle:
        train_set, test_set = torch.utils.data.Subset(data, range(384)), torch.utils.data.Subset(data, range(384, 480))
    else:
        train_set, test_set = random_split(data, [384, 96], generator=torch.Generator().manual_seed(0))
    train_loader = DataLoader(train_set, args.batch_size, shuffle=not args.no_shuffle, drop_last=True, num_workers=0)
    test_loader = DataLoader(test_set, batch_size=96)

    model = ResNet(BasicBlock, [1, 1])
    if args.weights:
        model.load_state_dict({k: torch.as_tensor(v) for k, v in np.load(args.weights).items()}, strict=True)
    initial = {k: v.numpy().copy() for k, v in model.state_dict().items()}

    # No weight decay for biases and norms.
    decay, no_decay = [], []
    for name, param in model.named_parameters():
        if not param.requires_grad:
            continue
        (no_decay if param.ndim <= 1 or name.endswith(".bias") else decay).append(param)
    optimizer = optim.SGD([
        {"params": decay, "weight_decay": 5e-4},
        {"params": no_decay, "weight_decay": 0.0, "lr": args.lr / 2},
    ], lr=args.lr, momentum=0.9)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs * len(train_loader))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)

    losses, norms, rates = [], [], []
    for epoch in range(args.epochs):
        model.train()
        running_loss = 0.0
        for images, labels in train_loader:
            loss = criterion(model(images), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = clip_grad_norm_(model.parameters(), max_norm=args.clip)
            optimizer.step()
            rates.append([group["lr"] for group in optimizer.param_groups])
            scheduler.step()
            losses.append(loss.item())
            norms.append(float(norm))
            running_loss += loss.detach() * images.size(0)
        print(f"[{epoch + 1}/{args.epochs}] loss {running_loss / len(train_set):.3f}")

    accuracy, confusion = evaluate(model, test_loader)
    print(f"accuracy {accuracy:.1%}")
    print(confusion)
    return {"losses": losses, "norms": norms, "rates": rates, "accuracy": accuracy, "initial": initial}


if __name__ == "__main__":
    main()

"""A convolutional net in the manner of PyTorch's MNIST example, on bars and crosses of 12 by 12 pixels."""

import argparse
import os
import tempfile

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self, dropout=0.1):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, 1)
        self.conv2 = nn.Conv2d(8, 16, 3, 1, padding="same")
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.dropout1 = nn.Dropout(dropout)
        self.fc1 = nn.Linear(400, 32)
        self.dropout2 = nn.Dropout(2 * dropout)
        self.fc2 = nn.Linear(32, 4)

    def forward(self, x):
        x = self.relu(self.conv1(x))
        x = self.pool(self.relu(self.conv2(x)))
        x = self.dropout1(x)
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = self.dropout2(x)
        x = self.fc2(x)
        output = F.log_softmax(x, dim=1)
        return output


def shapes(n, seed=0):
    """Horizontal bar, vertical bar, plus sign or diagonal cross, anywhere, in noise."""
    rng = np.random.default_rng(seed)
    images = 0.3 * rng.standard_normal((n, 1, 12, 12)).astype(np.float32)
    labels = rng.integers(0, 4, n)
    row, column = rng.integers(3, 9, (2, n))
    for i, (label, r, c) in enumerate(zip(labels, row, column)):
        for d in range(-3, 4):
            if label in (0, 2):
                images[i, 0, r, c + d] += 1
            if label in (1, 2):
                images[i, 0, r + d, c] += 1
            if label == 3:
                images[i, 0, r + d, c + d] += 1
                images[i, 0, r + d, c - d] += 1
    return TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))


def train(args, model, device, train_loader, optimizer, epoch):
    model.train()
    losses = []
    for batch_idx, (data, target) in enumerate(train_loader):
        data, target = data.to(device), target.to(device)
        optimizer.zero_grad()
        output = model(data)
        loss = F.nll_loss(output, target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if batch_idx % args.log_interval == 0:
            print("Train Epoch: {} [{}/{} ({:.0f}%)]\tLoss: {:.6f}".format(
                epoch, batch_idx * len(data), len(train_loader.dataset),
                100. * batch_idx / len(train_loader), loss.item()))
    return losses


def test(model, device, test_loader):
    model.eval()
    test_loss = 0
    correct = 0
    with torch.no_grad():
        for data, target in test_loader:
            data, target = data.to(device), target.to(device)
            output = model(data)
            test_loss += F.nll_loss(output, target, reduction='sum').item()  # sum up batch loss
            pred = output.argmax(dim=1, keepdim=True)  # get the index of the max log-probability
            correct += pred.eq(target.view_as(pred)).sum().item()

    test_loss /= len(test_loader.dataset)
    print('\nTest set: Average loss: {:.4f}, Accuracy: {}/{} ({:.0f}%)\n'.format(
        test_loss, correct, len(test_loader.dataset),
        100. * correct / len(test_loader.dataset)))
    return test_loss, correct / len(test_loader.dataset)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--batch-size', type=int, default=16)
    parser.add_argument('--test-batch-size', type=int, default=100)
    parser.add_argument('--epochs', type=int, default=6)
    parser.add_argument('--optimizer', choices=['adadelta', 'sgd'], default='adadelta')
    parser.add_argument('--lr', type=float, default=2.0)
    parser.add_argument('--gamma', type=float, default=0.9)
    parser.add_argument('--dropout', type=float, default=0.1)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--log-interval', type=int, default=10)
    parser.add_argument('--no-shuffle', action='store_true')
    parser.add_argument('--weights', help='initial weights, an .npz file')
    parser.add_argument('--checkpoint', default=os.path.join(tempfile.gettempdir(), 'shapes_cnn.pt'))
    parser.add_argument('--resume', action='store_true')
    args = parser.parse_args(argv)

    torch.manual_seed(args.seed)
    use_cuda = torch.cuda.is_available()
    device = torch.device("cuda" if use_cuda else "cpu")
    loader_kwargs = {'num_workers': 1, 'pin_memory': True} if use_cuda else {}
    train_loader = DataLoader(shapes(400), batch_size=args.batch_size, shuffle=not args.no_shuffle, **loader_kwargs)
    test_loader = DataLoader(shapes(200, seed=1), batch_size=args.test_batch_size, **loader_kwargs)

    model = Net(args.dropout).to(device)
    if args.weights:
        with np.load(args.weights) as weights:
            model.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
    if args.optimizer == 'adadelta':
        optimizer = optim.Adadelta(model.parameters(), lr=args.lr)
    else:
        optimizer = optim.SGD(model.parameters(), lr=args.lr, momentum=0.9, nesterov=True)
    scheduler = StepLR(optimizer, step_size=1, gamma=args.gamma)
    initial = {name: tensor.cpu().numpy().copy() for name, tensor in model.state_dict().items()}

    first_epoch = 1
    if args.resume:
        checkpoint = torch.load(args.checkpoint, map_location=device)
        model.load_state_dict(checkpoint['model_state_dict'])
        optimizer.load_state_dict(checkpoint['optimizer_state_dict'])
        scheduler.load_state_dict(checkpoint['scheduler_state_dict'])
        first_epoch = checkpoint['epoch'] + 1
        print(f"resuming after epoch {checkpoint['epoch']}, test loss {checkpoint['loss']:.4f}")

    losses, accuracies, rates = [], [], []
    for epoch in range(first_epoch, args.epochs + 1):
        rates.append(scheduler.get_last_lr()[0])
        losses += train(args, model, device, train_loader, optimizer, epoch)
        test_loss, accuracy = test(model, device, test_loader)
        accuracies.append(accuracy)
        scheduler.step()
        torch.save({
            'epoch': epoch,
            'model_state_dict': model.state_dict(),
            'optimizer_state_dict': optimizer.state_dict(),
            'scheduler_state_dict': scheduler.state_dict(),
            'loss': test_loss,
        }, args.checkpoint)

    # The weights alone, into a new model.
    path = os.path.splitext(args.checkpoint)[0] + '_weights.pt'
    torch.save(model.state_dict(), path)
    loaded = Net(args.dropout)
    print(loaded.load_state_dict(torch.load(path, weights_only=True)))
    loaded.to(device).eval()
    model.eval()
    image = test_loader.dataset[0][0].unsqueeze(0).to(device)
    assert torch.equal(model(image), loaded(image))
    return {'losses': losses, 'accuracies': accuracies, 'rates': rates, 'initial': initial}


if __name__ == '__main__':
    main()

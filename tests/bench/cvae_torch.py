#!/usr/bin/python3
"""The training job of cvae.h in PyTorch, in the ways that are the fastest there is on a CPU.

usage: cvae_torch.py DATA VARIANT PROCESSES EPOCHS

DATA: five int32 (services, windows, features, targets, batch), then the windows as cvae_data() has
them. VARIANT:
  plain    torch.nn, autograd and torch.optim.Adam, one service after the other
  batched  forward and backward by hand into buffers made once, all services of a process in one
           torch.baddbmm, Adam on one flat tensor
PROCESSES share the services, and the processors as threads. Prints {"seconds", "loss", "torch"}: training
alone is timed, and the loss is a mean over the windows of the last epoch.
"""
import json
import math
import os
import sys
import time

import numpy
import torch

HIDDEN, LATENTS, RATE = 32, 4, 1e-3


def read(path):
    services, windows, features, targets, batch = numpy.fromfile(path, "i4", 5)
    data = torch.from_numpy(numpy.fromfile(path, "f4", offset=20))
    cut = int(services * windows * features)
    return (
        data[:cut].view(services, windows, features),
        data[cut:].view(services, windows, targets),
        int(batch),
    )


# ---- torch.nn ----------------------------------------------------------------------------


def perceptron(inputs, hidden, outputs):
    layers = [
        torch.nn.Linear(inputs, hidden),
        torch.nn.ReLU(),
        torch.nn.Linear(hidden, hidden),
        torch.nn.ReLU(),
        torch.nn.Linear(hidden, outputs),
    ]
    for layer in layers[::2]:
        torch.nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.in_features))
        torch.nn.init.zeros_(layer.bias)
    return torch.nn.Sequential(*layers)


class Autoencoder(torch.nn.Module):
    def __init__(self, features, targets, hidden=HIDDEN, latents=LATENTS):
        super().__init__()
        self.encoder = perceptron(targets + features, hidden, 2 * latents)
        self.prior = perceptron(features, hidden, 2 * latents)
        self.decoder = perceptron(features + latents, hidden, targets)

    def forward(self, x, y, noise):
        """Loss, summed over the batch."""
        mean, lv = self.encoder(torch.cat((y, x), 1)).chunk(2, 1)
        prior_mean, prior_lv = self.prior(x).chunk(2, 1)
        z = mean + torch.exp(0.5 * lv) * noise
        error = (self.decoder(torch.cat((x, z), 1)) - y).square().sum()
        gap = (mean - prior_mean).square() * torch.exp(-prior_lv)
        return 0.5 * (error + (prior_lv - lv - 1 + torch.exp(lv - prior_lv) + gap).sum())


def train_plain(x, y, batch, epochs):
    net = Autoencoder(x.shape[1], y.shape[1])
    adam = torch.optim.Adam(net.parameters(), RATE, foreach=True)
    steps = len(x) // batch
    for _ in range(epochs):
        order, sum_of_losses = torch.randperm(len(x)), 0
        for i in range(steps):
            rows = order[i * batch : (i + 1) * batch]
            adam.zero_grad(set_to_none=True)
            loss = net(x[rows], y[rows], torch.randn(batch, LATENTS))
            (loss / batch).backward()
            adam.step()
            sum_of_losses += loss.detach()
    return float(sum_of_losses) / (steps * batch)


# ---- by hand -----------------------------------------------------------------------------


class Flat:
    """All nets' parameters in one tensor, seen as matrices [services, in, out]; Adam steps it."""

    def __init__(self, services, shapes):
        self.services, self.shapes, self.steps = services, shapes, 0
        count = services * sum(a * b for a, b in shapes)
        self.p, self.g, self.m, self.v, self.d = (torch.zeros(count) for _ in range(5))

    def views(self, flat):
        views, at = [], 0
        for a, b in self.shapes:
            views.append(flat[at : at + self.services * a * b].view(self.services, a, b))
            at += self.services * a * b
        return views

    def adam(self):
        self.steps += 1
        self.m.lerp_(self.g, 0.1)
        self.v.mul_(0.999).addcmul_(self.g, self.g, value=0.001)
        torch.sqrt(self.v, out=self.d)
        self.d.mul_(1 / math.sqrt(1 - 0.999**self.steps)).add_(1e-8)
        self.p.addcdiv_(self.m, self.d, value=-RATE / (1 - 0.9**self.steps))


def turned(a):
    return a.transpose(-1, -2)


class Net:
    """One perceptron of every service: views of a Flat, and buffers for a batch."""

    def __init__(self, w, g, batch):
        self.w, self.g = w, g
        self.out = [torch.empty(len(b), batch, b.shape[-1]) for b in w[1::2]]
        self.d = [torch.empty_like(out) for out in self.out[:-1]]
        for matrix in w[::2]:
            matrix.normal_(std=math.sqrt(2 / matrix.shape[-2]))

    def forward(self, x):
        last = len(self.out) - 1
        for i, out in enumerate(self.out):
            torch.baddbmm(self.w[2 * i + 1], x, self.w[2 * i], out=out)
            x = out.relu_() if i < last else out
        return x

    def backward(self, x, d):
        """Returns the gradient of the first hidden layer."""
        for i in range(len(self.out) - 1, -1, -1):
            torch.bmm(turned(self.out[i - 1] if i else x), d, out=self.g[2 * i])
            torch.sum(d, -2, keepdim=True, out=self.g[2 * i + 1])
            if i:
                d = torch.bmm(d, turned(self.w[2 * i]), out=self.d[i - 1])
                d.mul_(self.out[i - 1] > 0)
        return d


def shapes_of(features, targets):
    shapes = []
    for ins, outs in (
        (targets + features, 2 * LATENTS),
        (features, 2 * LATENTS),
        (features + LATENTS, targets),
    ):
        shapes += [(ins, HIDDEN), (1, HIDDEN), (HIDDEN, HIDDEN), (1, HIDDEN)]
        shapes += [(HIDDEN, outs), (1, outs)]
    return shapes


def train_batched(x, y, batch, epochs):
    services, windows, features = x.shape
    targets = y.shape[-1]
    flat = Flat(services, shapes_of(features, targets))
    w, g = flat.views(flat.p), flat.views(flat.g)
    encoder, prior, decoder = (Net(w[i : i + 6], g[i : i + 6], batch) for i in (0, 6, 12))
    yx = torch.cat((y, x), -1)
    xz = torch.empty(services, batch, features + LATENTS)
    dq, dp = (torch.empty(services, batch, 2 * LATENTS) for _ in range(2))
    dz = torch.empty(services, batch, LATENTS)
    steps = windows // batch
    for epoch in range(epochs):
        order = torch.argsort(torch.rand(services, windows), 1).unsqueeze(-1)
        mixed = torch.gather(yx, 1, order.expand(services, windows, targets + features))
        noises, losses = torch.randn(services, windows, LATENTS), 0
        for i in range(steps):
            rows = slice(i * batch, (i + 1) * batch)
            both, noise = mixed[:, rows], noises[:, rows]
            yb, xb = both[..., :targets], both[..., targets:]
            mean, lv = encoder.forward(both).split(LATENTS, -1)
            prior_mean, prior_lv = prior.forward(xb).split(LATENTS, -1)
            deviation = torch.exp(0.5 * lv)
            xz[..., :features] = xb
            torch.addcmul(mean, deviation, noise, out=xz[..., features:])
            gap = decoder.forward(xz).sub_(yb)
            first = decoder.backward(xz, gap * (1 / batch))
            torch.bmm(first, turned(w[12][:, features:]), out=dz)
            far = mean - prior_mean
            pull, ratio = far * torch.exp(-prior_lv), torch.exp(lv - prior_lv)
            torch.add(dz, pull, alpha=1 / batch, out=dq[..., :LATENTS])
            torch.add(
                (dz * noise).mul_(deviation), ratio - 1, alpha=1 / batch, out=dq[..., LATENTS:]
            )
            dq[..., LATENTS:].mul_(0.5)
            torch.mul(pull, -1 / batch, out=dp[..., :LATENTS])
            torch.sub(1 - ratio, far * pull, out=dp[..., LATENTS:])
            dp[..., LATENTS:].mul_(0.5 / batch)
            encoder.backward(both, dq)
            prior.backward(xb, dp)
            flat.adam()
            if epoch == epochs - 1:
                divergence = ratio - 1 - (lv - prior_lv) + far * pull
                losses += float(gap.square().sum() + divergence.sum())
    return 0.5 * losses / (steps * batch)


# ---- the job -----------------------------------------------------------------------------


def train(variant, x, y, batch, epochs):
    """Sum of the services' losses."""
    if variant == "batched":
        with torch.no_grad():
            return train_batched(x, y, batch, epochs)
    return sum(train_plain(x[s], y[s], batch, epochs) for s in range(len(x)))


def share(variant, x, y, batch, epochs, processes):
    """Every process takes each so many'th service."""
    if processes == 1:
        return train(variant, x, y, batch, epochs)
    readers = []
    for n in range(processes):
        reader, writer = os.pipe()
        if os.fork() == 0:
            part = [a[n::processes].contiguous() for a in (x, y)]
            os.write(writer, repr(train(variant, *part, batch, epochs)).encode())
            os._exit(0)
        os.close(writer)
        readers.append(reader)
    losses = [os.fdopen(reader).read() for reader in readers]
    for _ in readers:
        os.wait()
    return sum(float(loss) for loss in losses)


def main():
    path, variant, processes, epochs = sys.argv[1:]
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // int(processes)))
    torch.manual_seed(1)
    x, y, batch = read(path)
    start = time.monotonic()
    loss = share(variant, x, y, batch, int(epochs), int(processes)) / len(x)
    seconds = time.monotonic() - start
    print(json.dumps({"seconds": seconds, "loss": loss, "torch": torch.__version__}))


main()

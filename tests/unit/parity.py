#!/usr/bin/python3
"""What PyTorch's autograd makes of the loss of gvae.h, for parity_test.

usage: parity_test dump FILE; parity.py FILE; mv FILE tests/data/gvae_parity.txt

The dump holds a wiring, then tensors; loss and gradient are appended. Written from the description of
the loss in gvae.h and the paper, not from gvae_loss.c.
"""
import sys

import torch

ALPHA, BETA, GAMMA = 0.9, 1.0, 0.5
TILE = 16


def read(path):
    nets, tensors = {"encoder": [], "prior": [], "decoder": []}, {}
    for line in open(path):
        name, *words = line.split()
        if name in nets:
            inputs, hidden, layers, outputs, weight, output, *sources = map(int, words)
            nets[name].append((inputs, hidden, layers, outputs, weight, output, sources))
        elif name == "sizes":
            sizes = list(map(int, words))
        else:
            tensors[name] = torch.tensor([float(w) for w in words], dtype=torch.float64)
    return nets, tensors, sizes


def apply(net, weights, x):
    inputs, hidden, layers, outputs, at, _, _ = net
    for layer in range(layers + 1):
        ins = inputs if layer == 0 else hidden
        outs = outputs if layer == layers else hidden
        w = weights[at : at + outs * ins].view(outs, ins)
        b = weights[at + outs * ins : at + outs * ins + outs]
        x = torch.nn.functional.linear(x, w, b)
        x = torch.relu(x) if layer < layers else x
        at += outs * ins + outs
    return x


def compress(x):
    far = x.abs().clamp(min=4)
    return torch.where(x.abs() <= 4, x, x.sign() * (4 + torch.log(far - 3)))


def infer(net, weights, z):
    if net[0] == 0:
        return torch.zeros(len(z), 2, dtype=z.dtype)
    return apply(net, weights, compress(z[:, net[6]]))


def loss_of(nets, t, weights, sizes):
    xs, ys, entities, rows = sizes
    z = t["z"].view(rows, xs + ys)
    mask = t["mask"].view(rows, ys)
    noise = t["noise"].view(2, entities, TILE)[:, :, :rows]
    both = []
    total = 0
    for e in range(entities):
        pair = [infer(nets[kind][e], weights, z) for kind in ("encoder", "prior")]
        q, p = (torch.distributions.Normal(g[:, 0], torch.exp(0.5 * g[:, 1].clamp(-8, 4))) for g in pair)
        total = total + ALPHA * BETA * torch.distributions.kl_divergence(q, p).sum()
        both.append([d.mean + noise[i, e] * d.stddev for i, d in enumerate((q, p))])
    for i, weight in enumerate((ALPHA, 1 - ALPHA)):
        for cascade, share in ((True, GAMMA), (False, 1 - GAMMA)):
            state = [z[:, c] for c in range(xs + ys)] + [both[e][i] for e in range(entities)]
            for net in nets["decoder"]:
                out = apply(net, weights, torch.stack([state[s] for s in net[6]], 1))
                for k in range(net[3]):
                    y = net[5] + k
                    gap = (out[:, k] - z[:, xs + y]) * mask[:, y]
                    total = total + weight * share * gap.square().sum()
                    if cascade:
                        state[xs + y] = out[:, k]
    return total


def main():
    path = sys.argv[1]
    nets, tensors, sizes = read(path)
    weights = tensors["weights"].requires_grad_()
    loss = loss_of(nets, tensors, weights, sizes)
    loss.backward()
    with open(path, "a") as out:
        print("loss", f"{float(loss):.9g}", file=out)
        print("gradient", *(f"{float(g):.6g}" for g in weights.grad), file=out)


main()

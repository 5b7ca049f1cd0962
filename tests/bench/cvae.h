/*
 * The training job that speed is compared by: conditional variational autoencoders, one for each
 * service, of the analyzer's own perceptrons and kernels. cvae_torch.py is the same job in PyTorch.
 *
 * Encoder q(z | y, x), prior p(z | x), decoder y | x, z; squared error halved plus the divergence
 * of the two Gaussians, a mean over the batch; Adam.
 *
 * Legend: S services, N windows, X features, Y targets.
 */
#ifndef SAGE_TESTS_BENCH_CVAE_H
#define SAGE_TESTS_BENCH_CVAE_H

#include <stdint.h>

struct cvae_job {
	unsigned services, windows, features, targets;
	unsigned hidden, layers, latents;
	unsigned batch, epochs; /* batch: of whole tiles; the windows past the last one wait */
	float rate;             /* of Adam */
	uint64_t seed;
	unsigned threads;
};

/* That of docs/testing.md. */
void cvae_job_default(struct cvae_job *job);

/* Made-up windows, z-scored: [S][N][X], then [S][N][Y]; free() it. NULL = out of memory. */
float *cvae_data(const struct cvae_job *job);

/* Multiplications and additions of layers, forward and backward; losses, noise and Adam are not in
 * it. */
double cvae_flops(const struct cvae_job *job);

/*
 * Train all of them. loss: mean over the windows of the last epoch, of all services; the same
 * for any number of threads. Returns 0 or -1 (out of memory).
 */
int cvae_train(const struct cvae_job *job, const float *data, double *loss);

#endif

#include "tests/testbed/pool.h"

#include <stdio.h>

void pool_init(struct pool *p, const struct service *callee, const char *address, unsigned limit)
{
	*p = (struct pool){
		.service = callee,
		.protocol = peer_protocol_of(callee),
		.limit = limit < POOL_MAX ? limit : POOL_MAX,
	};
	snprintf(p->address, sizeof(p->address), "%s", address);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->returned, NULL);
}

struct peer *pool_take(struct pool *p)
{
	struct peer *peer = NULL;

	pthread_mutex_lock(&p->lock);
	while (p->busy == p->limit)
		pthread_cond_wait(&p->returned, &p->lock);
	p->busy++;
	if (p->idle)
		peer = p->rest[--p->idle];
	pthread_mutex_unlock(&p->lock);
	if (!peer)
		peer = p->protocol->open(p->service, p->address);
	if (!peer)
		pool_give(p, NULL, 1);
	return peer;
}

void pool_give(struct pool *p, struct peer *peer, int broken)
{
	if (broken)
		p->protocol->close(peer);
	pthread_mutex_lock(&p->lock);
	p->busy--;
	if (!broken)
		p->rest[p->idle++] = peer;
	pthread_cond_signal(&p->returned);
	pthread_mutex_unlock(&p->lock);
}

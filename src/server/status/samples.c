/* See samples.h. */
#include "server/status/samples.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SAMPLES_MAGIC "valsampl"

struct samples {
	char magic[8];
	uint64_t hash; /* of the table that the sums below are of */
	uint32_t next, count;
	/* the sums at the last sample; taken: there was one */
	uint64_t taken, logins, failures, deliveries;
	uint64_t answers[HISTOGRAM_BUCKETS];
	struct sample list[SAMPLES];
};
_Static_assert(sizeof(struct samples) <= COUNTERS_SAMPLES_SIZE, "the monitor's memory is enough");

static bool is_good(const struct samples *s)
{
	return memcmp(s->magic, SAMPLES_MAGIC, sizeof(s->magic)) == 0 &&
	       s->hash == counters_hash() && s->next < SAMPLES && s->count <= SAMPLES;
}

struct samples *samples_open(int fd)
{
	struct samples *samples;
	void *memory;

	if (lseek(fd, 0, SEEK_END) < (off_t)sizeof(*samples))
		return NULL;
	memory = mmap(NULL, sizeof(*samples), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return NULL;
	samples = memory;
	if (!is_good(samples)) {
		memset(samples, 0, sizeof(*samples));
		memcpy(samples->magic, SAMPLES_MAGIC, sizeof(samples->magic));
		samples->hash = counters_hash();
	}
	return samples;
}

/* A page can lie, and its sums go back: that is no negative number here. */
static uint64_t more(uint64_t *before, uint64_t now)
{
	uint64_t gain = now > *before ? now - *before : 0;

	*before = now;
	return gain;
}

static uint64_t logins_ok(const struct totals *totals)
{
	uint64_t sum = 0;

	for (size_t slot = COUNTER_LOGINS; slot <= COUNTER_LOGINS_LAST; slot += LABELS_RESULT)
		sum += totals_slot(totals, slot + RESULT_OK);
	return sum;
}

static void take(struct samples *s, const struct totals *totals, struct sample *ret)
{
	uint64_t now[HISTOGRAM_BUCKETS], gained[HISTOGRAM_BUCKETS];
	int64_t sessions = (int64_t)totals_sum(totals, COUNTER_SESSIONS_NOW);

	ret->sessions = sessions > 0 ? (uint64_t)sessions : 0;
	ret->logins = more(&s->logins, logins_ok(totals));
	ret->failures = more(&s->failures, totals_sum(totals, COUNTER_LOGIN_FAILURES));
	ret->deliveries = more(&s->deliveries, totals_slot(totals, COUNTER_DELIVERIES + REASON_OK));
	totals_buckets(totals, COUNTER_LOGIN_STEPS + STEP_ANSWER * HISTOGRAM_SLOTS, now);
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		gained[i] = more(&s->answers[i], now[i]);
	ret->p99 = totals_quantile(gained, 990);
}

void samples_tick(struct samples *s, const struct totals *totals, uint64_t now)
{
	struct sample sample = {.time = now};

	/* a clock that was set back begins anew */
	if (s->taken && s->taken <= now && now / SAMPLE_SECONDS == s->taken / SAMPLE_SECONDS)
		return;
	take(s, totals, &sample);
	if (s->taken) { /* else there is no time before to compare with */
		s->list[s->next] = sample;
		s->next = (s->next + 1) % SAMPLES;
		if (s->count < SAMPLES)
			s->count++;
	}
	s->taken = now;
}

unsigned samples_count(const struct samples *s)
{
	return s ? s->count : 0;
}

const struct sample *samples_get(const struct samples *s, unsigned n)
{
	return &s->list[(s->next + SAMPLES - s->count + n) % SAMPLES];
}

/*
 * See hist.h. A value below HIST_STEPS has its own cell; above, its highest bits choose octave and
 * step.
 */
#include "hist.h"

static unsigned cell_of(uint64_t value)
{
	if (value < HIST_STEPS)
		return (unsigned)value;
	unsigned top = 63u - (unsigned)__builtin_clzll(value); /* >= 7 */
	unsigned octave = top - 6;
	unsigned step = (unsigned)(value >> (octave - 1)) & (HIST_STEPS - 1);
	unsigned cell = octave * HIST_STEPS + step;
	return cell < HIST_SIZE ? cell : HIST_SIZE - 1;
}

/* The middle of a cell's range. */
static double value_of(unsigned cell)
{
	unsigned octave = cell / HIST_STEPS, step = cell % HIST_STEPS;
	if (octave == 0)
		return step;
	uint64_t low = (uint64_t)(HIST_STEPS + step) << (octave - 1);
	return (double)low + (double)((uint64_t)1 << (octave - 1)) / 2;
}

void hist_add(struct hist *hist, uint64_t nanoseconds)
{
	hist->count++;
	hist->sum += nanoseconds;
	if (nanoseconds > hist->max)
		hist->max = nanoseconds;
	hist->cell[cell_of(nanoseconds)]++;
}

double hist_quantile(const struct hist *hist, double share)
{
	if (hist->count == 0)
		return 0;
	double want = share * (double)hist->count;
	uint64_t seen = 0;
	for (unsigned i = 0; i < HIST_SIZE; i++) {
		seen += hist->cell[i];
		if (seen > 0 && (double)seen >= want) {
			double value = value_of(i);
			return value < (double)hist->max ? value : (double)hist->max;
		}
	}
	return (double)hist->max;
}

void hist_print(const struct hist *hist, FILE *out)
{
	static const struct {
		const char *name;
		double share;
	} points[] = {{"p10", 0.1},    {"p25", 0.25},   {"p50", 0.5},     {"p75", 0.75},
		      {"p90", 0.9},    {"p95", 0.95},   {"p98", 0.98},    {"p99", 0.99},
		      {"p995", 0.995}, {"p999", 0.999}, {"p9999", 0.9999}};
	double mean = hist->count ? (double)hist->sum / (double)hist->count : 0;
	fprintf(out, "{\"count\":%llu,\"mean\":%.6f", (unsigned long long)hist->count, mean / 1e6);
	for (unsigned i = 0; i < sizeof points / sizeof points[0]; i++)
		fprintf(out, ",\"%s\":%.6f", points[i].name,
			hist_quantile(hist, points[i].share) / 1e6);
	fprintf(out, ",\"max\":%.6f}", (double)hist->max / 1e6);
}

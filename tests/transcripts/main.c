/*
 * Plays every transcript of a directory (or each file named): once step by step against what it
 * says, then whole, an octet at a time and cut at pseudo-random places; all of these must give the
 * same events and the same output. For tests only.
 */
#include "transcript.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct buffer play(const struct transcript *transcript, struct cutting cutting)
{
	const char *side = transcript_setting(transcript, "side");

	if (side != NULL && strcmp(side, "client") == 0)
		return play_client(transcript, &cutting);
	return play_server(transcript, &cutting);
}

static void compare(const struct transcript *transcript, const char *name,
		    const struct buffer *want, const struct buffer *got)
{
	if (got->size == want->size && memcmp(got->data, want->data, got->size) == 0)
		return;
	fprintf(stderr, "%s: cut %s, this happens:\n%s\ninstead of:\n%s\n", transcript->path, name,
		got->data, want->data);
	exit(1);
}

static void play_file(const char *path)
{
	struct cutting ways[] = {{.name = "nowhere", .fixed = 1u << 20},
				 {.name = "at every octet", .fixed = 1},
				 {.name = "at every other octet", .fixed = 2},
				 {.name = "in threes, step by step", .fixed = 3, .in_step = true}};
	struct transcript transcript = transcript_read(path);
	struct buffer want =
		play(&transcript, (struct cutting){.fixed = 1u << 20, .in_step = true});

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct buffer got = play(&transcript, ways[i]);

		compare(&transcript, ways[i].name, &want, &got);
		buffer_free(&got);
	}
	for (uint32_t seed = 1; seed <= 20; seed++) {
		struct buffer got = play(&transcript, (struct cutting){.seed = seed});

		compare(&transcript, "at random", &want, &got);
		buffer_free(&got);
	}
	buffer_free(&want);
	transcript_free(&transcript);
	printf("ok %s\n", strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path);
}

static int is_transcript(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	/* lmtp_*.txt are dialogues with the other machine, played by lmtp.c */
	return n > 4 && strcmp(entry->d_name + n - 4, ".txt") == 0 &&
	       strncmp(entry->d_name, "lmtp_", 5) != 0;
}

static int play_path(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, is_transcript, alphasort);

	if (n < 0) {
		play_file(path);
		return 1;
	}
	for (int i = 0; i < n; i++) {
		char name[4096];

		snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
		play_file(name);
		free(entries[i]);
	}
	free(entries);
	return n;
}

int main(int argc, char **argv)
{
	int n = 0;

	for (int i = 1; i < argc; i++)
		n += play_path(argv[i]);
	printf("%d transcripts\n", n);
	return n == 0;
}

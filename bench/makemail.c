/*
 * Makes mail for the bench: a Maildir or an mbox with count messages of about octets octets each,
 * every one its own file with its own contents, real-shaped: headers, then text with a dot at a
 * line start here and there, or an attachment in base64. The same arguments make the same mail.
 *
 *   makemail --maildir D --count N --octets O [--first I] [--names sw|plain] [--ends lf|crlf]
 *            [--folder cur|new] [--owner UID:GID]
 *   makemail --maildirs D/u --users U …        U Maildirs D/u000000 …
 *   makemail --mbox F --count N --octets O
 */
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ATTACHED 32768 /* from this size on a message is an attachment */

struct maker {
	uint64_t seed;
	size_t octets;
	bool crlf, sizes;
	const char *folder;
	uid_t uid;
	gid_t gid;
	char *text, *wire;
};

static const char *const words[] = {
	"the",      "letter", "was",    "sent",  "on",     "Tuesday", "with",  "a",
	"parcel",   "that",   "nobody", "had",   "asked",  "for",     "but",   "everyone",
	"welcomed", "since",  "it",     "held",  "coffee", "maps",    "three", "lamps",
	"and",      "an",     "old",    "radio", "from",   "Lisbon",  "which", "worked"};

static uint64_t next(struct maker *maker)
{
	maker->seed ^= maker->seed << 13;
	maker->seed ^= maker->seed >> 7;
	maker->seed ^= maker->seed << 17;
	return maker->seed;
}

/* Large messages are large because of an attachment: lines of 76 characters of base64. */
static size_t attach(struct maker *maker, size_t at, size_t *lines)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = maker->text;
	while (at + *lines + 78 < maker->octets) {
		uint64_t bits = next(maker);
		for (int i = 0; i < 76; i++) {
			text[at++] = digits[bits & 63];
			bits = bits >> 6 | bits << 58;
		}
		text[at++] = '\n';
		++*lines;
	}
	return at;
}

/* The message with LF line ends; returns its size. *lines: how many. */
static size_t compose(struct maker *maker, unsigned number, size_t *lines)
{
	char *text = maker->text;
	size_t at = (size_t)sprintf(text,
				    "Return-Path: <sender%u@example.org>\n"
				    "Received: from mail.example.org by mx.example.net; "
				    "Mon, 6 Jan 2025 10:%02u:%02u +0000\n"
				    "From: Sender %u <sender%u@example.org>\n"
				    "To: Reader <reader@example.net>\n"
				    "Subject: message %u about parcels\n"
				    "Message-ID: <%u.%llx@example.org>\n"
				    "Date: Mon, 6 Jan 2025 10:00:00 +0000\n"
				    "MIME-Version: 1.0\n"
				    "Content-Type: text/plain; charset=us-ascii\n\n",
				    number % 97, number / 60 % 60, number % 60, number, number % 97,
				    number, number, (unsigned long long)next(maker));
	*lines = 10;
	if (maker->octets >= ATTACHED)
		at = attach(maker, at, lines);
	while (at + *lines < maker->octets) {
		size_t width = 20 + next(maker) % 56, start = at;
		if (next(maker) % 64 == 0)
			text[at++] = '.';
		while (at - start < width) {
			const char *word = words[next(maker) % 32];
			at += (size_t)sprintf(text + at, "%s ", word);
		}
		text[at - 1] = '\n';
		++*lines;
	}
	return at;
}

static size_t to_crlf(const char *text, size_t size, char *wire)
{
	size_t at = 0;
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '\n')
			wire[at++] = '\r';
		wire[at++] = text[i];
	}
	return at;
}

/* A folder that is there already is left alone: another's delivery must not look like more. */
static void make_dir(const struct maker *maker, const char *path)
{
	if (mkdir(path, 0700) < 0) {
		if (errno != EEXIST)
			net_die(path);
	} else if (chown(path, maker->uid, maker->gid) < 0) {
		net_die(path);
	}
}

static void store(struct maker *maker, int dir, unsigned number)
{
	char name[128];
	size_t lines, size = compose(maker, number, &lines), wire = size + lines;
	const char *data = maker->text;
	if (maker->crlf) {
		size = to_crlf(maker->text, size, maker->wire);
		data = maker->wire;
	}
	int at = snprintf(name, sizeof name, "%u.M%uP1.bench", 1700000000u + number, number);
	if (maker->sizes)
		at += snprintf(name + at, sizeof name - (size_t)at, ",S=%zu,W=%zu", size, wire);
	if (strcmp(maker->folder, "cur") == 0)
		snprintf(name + at, sizeof name - (size_t)at, ":2,");
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size ||
	    fchown(fd, maker->uid, maker->gid) < 0)
		net_die(name);
	close(fd);
}

static void make_maildir(struct maker *maker, const char *path, unsigned first, unsigned count)
{
	static const char *const folders[] = {"new", "cur", "tmp"};
	char name[4096];
	make_dir(maker, path);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof name, "%s/%s", path, folders[i]);
		make_dir(maker, name);
	}
	snprintf(name, sizeof name, "%s/%s", path, maker->folder);
	int dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		net_die(name);
	for (unsigned i = 0; i < count; i++)
		store(maker, dir, first + i);
	close(dir);
}

static void make_mbox(struct maker *maker, const char *path, unsigned count)
{
	FILE *out = fopen(path, "we");
	if (!out)
		net_die(path);
	for (unsigned i = 0; i < count; i++) {
		size_t lines, size = compose(maker, i, &lines);
		fprintf(out, "From sender@example.org Mon Jan  6 10:00:00 2025\n");
		fwrite(maker->text, 1, size, out);
		fputc('\n', out);
	}
	if (fclose(out) != 0 || chown(path, maker->uid, maker->gid) < 0)
		net_die(path);
}

int main(int argc, char **argv)
{
	struct maker maker = {.octets = (size_t)net_number(argc, argv, "octets", 4096)};
	const char *maildir = net_option(argc, argv, "maildir", NULL);
	const char *prefix = net_option(argc, argv, "maildirs", NULL);
	const char *mbox = net_option(argc, argv, "mbox", NULL);
	const char *owner = net_option(argc, argv, "owner", NULL);
	unsigned count = (unsigned)net_number(argc, argv, "count", 1);
	unsigned first = (unsigned)net_number(argc, argv, "first", 0);
	unsigned users = (unsigned)net_number(argc, argv, "users", 0);
	maker.crlf = strcmp(net_option(argc, argv, "ends", "lf"), "crlf") == 0;
	maker.sizes = strcmp(net_option(argc, argv, "names", "sw"), "sw") == 0;
	maker.folder = net_option(argc, argv, "folder", "cur");
	maker.uid = getuid();
	maker.gid = getgid();
	if (owner && sscanf(owner, "%u:%u", &maker.uid, &maker.gid) != 2)
		net_die("--owner");
	maker.seed = 88172645463325252u + first;
	maker.text = malloc(maker.octets + 2048);
	maker.wire = malloc(2 * maker.octets + 4096);
	if (!maker.text || !maker.wire)
		net_die("memory");
	if (mbox)
		make_mbox(&maker, mbox, count);
	else if (maildir)
		make_maildir(&maker, maildir, first, count);
	for (unsigned i = 0; prefix && i < users; i++) {
		char path[4096];
		snprintf(path, sizeof path, "%s%06u", prefix, i);
		make_maildir(&maker, path, first, count);
	}
	free(maker.text);
	free(maker.wire);
	return 0;
}

/* See register.h. In memory it is a hash table of keys, a location's latest kind in each. */
#include "maildrop/register.h"

#include "base/crc32c.h"
#include "base/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define MAGIC "valija-register\n" /* the first 16 octets of the file, without a NUL */
#define DIGEST_KEPT 11
#define CHUNK 4096    /* entries read at a time */
#define TEXT_MAX 1280 /* octets of a location and the words of a fact */
#define WASTE 65536   /* entries that later ones replaced, from which on the file is written anew */

struct key {
	unsigned char digest[DIGEST_KEPT];
	unsigned char kind; /* as in the file; 0: the place in the table is free */
};

struct entry {
	struct key key;
	unsigned char sum[4]; /* CRC-32C of key, little-endian */
};
_Static_assert(sizeof(struct entry) == 16 && sizeof(MAGIC) == 17, "as the page of the format says");

enum {
	STORED_MAKING = 1,
	STORED_MADE = 2,
	STORED_FORGOTTEN = 3,
	STORED_SERVED = 4,
	STORED_FOLDERS = 5,
	STORED_BROUGHT = 6,
	STORED_ALARM = 7,
	STORED_LAST = STORED_ALARM,
};

struct mail_register {
	char *file;
	int fd; /* -1: there is none, or it has to be opened again */
	struct key *keys;
	size_t count, room; /* room: a power of two, or 0 */
	uint64_t entries;   /* of the file that are in keys */
	uint64_t opened;    /* how often; another one may get the number of the last in fd */
	int refused;        /* errno of opening it for writing: it can only be read */
	bool unflushed;     /* something of the file may not be on the disk */
	bool suspect;       /* a flush failed: what the file shows may never reach the disk */
};

struct mail_register *register_create(const char *file)
{
	struct mail_register *reg = calloc(1, sizeof(*reg));

	if (!reg)
		return NULL;
	reg->fd = -1;
	reg->file = strdup(file);
	if (reg->file)
		return reg;
	free(reg);
	return NULL;
}

static void forget(struct mail_register *reg)
{
	if (reg->fd >= 0)
		close(reg->fd);
	free(reg->keys);
	reg->fd = -1;
	reg->keys = NULL;
	reg->count = reg->room = 0;
	reg->entries = 0;
}

void register_destroy(struct mail_register *reg)
{
	if (!reg)
		return;
	forget(reg);
	free(reg->file);
	free(reg);
}

const char *register_file(const struct mail_register *reg)
{
	return reg->file;
}

/* ---- in memory ---- */

static struct key key_of(pop3_span location, enum register_kind kind)
{
	static const unsigned char stored[REGISTER_KINDS] = {[REGISTER_NONE] = STORED_FORGOTTEN,
							     [REGISTER_MAKING] = STORED_MAKING,
							     [REGISTER_MADE] = STORED_MADE};
	unsigned char digest[DIGEST_MAX];
	struct key key = {.kind = stored[kind]};

	digest_of(DIGEST_SHA_256, location.data, location.size, digest);
	memcpy(key.digest, digest, DIGEST_KEPT);
	return key;
}

/* No path has a NUL: no fact has the key of a location. */
static int key_of_fact(pop3_span location, enum register_fact fact, pop3_span words, bool is_so,
		       struct key *ret)
{
	static const unsigned char stored[REGISTER_FACTS] = {[REGISTER_SERVED] = STORED_SERVED,
							     [REGISTER_FOLDERS] = STORED_FOLDERS,
							     [REGISTER_BROUGHT] = STORED_BROUGHT,
							     [REGISTER_ALARM] = STORED_ALARM};
	unsigned char digest[DIGEST_MAX];
	char text[TEXT_MAX];

	if (location.size > sizeof(text) - 2 || words.size > sizeof(text) - 2 - location.size)
		return -1;
	memcpy(text, location.data, location.size);
	text[location.size] = '\0';
	text[location.size + 1] = (char)stored[fact];
	if (words.size)
		memcpy(text + location.size + 2, words.data, words.size);
	digest_of(DIGEST_SHA_256, text, location.size + 2 + words.size, digest);
	memcpy(ret->digest, digest, DIGEST_KEPT);
	ret->kind = is_so ? stored[fact] : STORED_FORGOTTEN;
	return 0;
}

/* The place of the key, or the free one for it. There is always a free one. */
static struct key *place_of(struct key *keys, size_t room, const struct key *key)
{
	uint64_t at;

	memcpy(&at, key->digest, sizeof(at));
	for (at &= room - 1; keys[at].kind; at = (at + 1) & (room - 1))
		if (memcmp(keys[at].digest, key->digest, DIGEST_KEPT) == 0)
			break;
	return &keys[at];
}

static int grow(struct mail_register *reg)
{
	size_t room = reg->room ? reg->room * 2 : 64;
	struct key *keys = calloc(room, sizeof(*keys));

	if (!keys)
		return -1;
	for (size_t i = 0; i < reg->room; i++)
		if (reg->keys[i].kind)
			*place_of(keys, room, &reg->keys[i]) = reg->keys[i];
	free(reg->keys);
	reg->keys = keys;
	reg->room = room;
	return 0;
}

static int remember(struct mail_register *reg, const struct key *key)
{
	struct key *place;

	if (reg->count >= reg->room / 2 && grow(reg) < 0)
		return -1;
	place = place_of(reg->keys, reg->room, key);
	reg->count += place->kind == 0;
	*place = *key;
	return 0;
}

/* As in the file; what is not there counts as forgotten. */
static unsigned char kind_in_memory(const struct mail_register *reg, const struct key *key)
{
	const struct key *place = reg->room ? place_of(reg->keys, reg->room, key) : NULL;

	return place && place->kind ? place->kind : STORED_FORGOTTEN;
}

/* ---- the file ---- */

static void seal(struct entry *entry)
{
	uint32_t sum = crc32c(0, &entry->key, sizeof(entry->key));

	for (int i = 0; i < 4; i++)
		entry->sum[i] = (unsigned char)(sum >> 8 * i);
}

static bool sound(const struct entry *entry)
{
	struct entry right = *entry;

	seal(&right);
	return memcmp(right.sum, entry->sum, sizeof(right.sum)) == 0 && entry->key.kind &&
	       entry->key.kind <= STORED_LAST;
}

static int failed(const struct mail_register *reg, const char *doing, struct err *err)
{
	return err_sys(err, EX_TEMPFAIL, errno, "the register %s cannot be %s", reg->file, doing);
}

static uint64_t offset_of(uint64_t entry)
{
	return (entry + 1) * sizeof(struct entry);
}

/* Reads on from where it was read up to. An entry that is damaged counts for nothing; part of one
 * at the end is what a crash left, and is written over. */
static int read_on(struct mail_register *reg, uint64_t size, struct err *err)
{
	struct entry *chunk = malloc(CHUNK * sizeof(*chunk));
	uint64_t end = size / sizeof(*chunk) - 1;
	int result = 0;

	if (!chunk)
		result = failed(reg, "read", err);
	while (result == 0 && reg->entries < end) {
		size_t want = end - reg->entries > CHUNK ? CHUNK : (size_t)(end - reg->entries);
		ssize_t n = pread(reg->fd, chunk, want * sizeof(*chunk),
				  (off_t)offset_of(reg->entries));

		if (n < (ssize_t)sizeof(*chunk)) {
			errno = n < 0 ? errno : EIO;
			result = failed(reg, "read", err);
			break;
		}
		for (size_t i = 0; i < (size_t)n / sizeof(*chunk) && result == 0; i++) {
			if (sound(&chunk[i]) && remember(reg, &chunk[i].key) < 0)
				result = failed(reg, "read", err);
			reg->entries += result == 0;
		}
	}
	free(chunk);
	return result;
}

static int check_magic(const struct mail_register *reg, struct err *err)
{
	char magic[sizeof(MAGIC) - 1];

	if (pread(reg->fd, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) &&
	    memcmp(magic, MAGIC, sizeof(magic)) == 0)
		return 0;
	return err_set(err, EX_DATAERR,
		       "%s is no register of maildrops: restore it, or move it away and reload "
		       "valijad to begin a new one",
		       reg->file);
}

/* Opens the file, unless the one that is open still has the name, and reads what is new in it. */
static int refresh(struct mail_register *reg, struct err *err)
{
	struct stat named, open_one;

	if (reg->fd >= 0 &&
	    (stat(reg->file, &named) < 0 || fstat(reg->fd, &open_one) < 0 ||
	     named.st_ino != open_one.st_ino || named.st_dev != open_one.st_dev ||
	     (reg->entries > 0 && (uint64_t)named.st_size < offset_of(reg->entries))))
		forget(reg);
	if (reg->fd < 0) {
		reg->fd = open(reg->file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		reg->refused = reg->fd < 0 && (errno == EACCES || errno == EROFS) ? errno : 0;
		if (reg->refused)
			reg->fd = open(reg->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (reg->fd < 0)
			return errno == ENOENT ? 0 : failed(reg, "opened", err);
		reg->opened++;
		reg->unflushed = true; /* its writer may not have come to that */
	}
	if (fstat(reg->fd, &open_one) < 0)
		return failed(reg, "read", err);
	if (open_one.st_size < (off_t)sizeof(struct entry))
		return 0; /* its first writer was interrupted */
	if (check_magic(reg, err) < 0)
		return -1;
	return read_on(reg, (uint64_t)open_one.st_size, err);
}

/* The kind of the latest entry, as in the file. -1 with err. */
static int find(struct mail_register *reg, const struct key *key, struct err *err)
{
	if (refresh(reg, err) == 0)
		return kind_in_memory(reg, key);
	forget(reg);
	return -1;
}

int register_find(struct mail_register *reg, pop3_span location, enum register_kind *ret,
		  struct err *err)
{
	struct key key = key_of(location, REGISTER_NONE);
	int stored = find(reg, &key, err);

	if (stored < 0)
		return -1;
	*ret = stored == STORED_MAKING ? REGISTER_MAKING
	       : stored == STORED_MADE ? REGISTER_MADE
				       : REGISTER_NONE;
	return 0;
}

int register_knows(struct mail_register *reg, pop3_span location, enum register_fact fact,
		   pop3_span words, bool *ret, struct err *err)
{
	struct key key;
	int stored;

	if (key_of_fact(location, fact, words, true, &key) < 0)
		return err_set(err, EX_DATAERR, "a location is too long for the register");
	stored = find(reg, &key, err);
	if (stored < 0)
		return -1;
	*ret = stored == key.kind;
	return 0;
}

/* ---- writing ---- */

static int flush_folder(const struct mail_register *reg)
{
	char *folder = strdup(reg->file), *slash = folder ? strrchr(folder, '/') : NULL;
	int fd, result = -1;

	if (slash)
		slash[slash == folder] = '\0';
	fd = folder ? open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		result = fsync(fd);
		close(fd);
	}
	free(folder);
	return result;
}

static int write_at(int fd, const void *data, size_t size, uint64_t offset)
{
	ssize_t n = pwrite(fd, data, size, (off_t)offset);

	if (n == (ssize_t)size)
		return 0;
	if (n >= 0)
		errno = ENOSPC;
	return -1;
}

static int make_file(struct mail_register *reg, struct err *err)
{
	reg->fd = open(reg->file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	/* whatever the umask: `valija deliver` of the mail's owner reads it */
	if (reg->fd < 0 || fchmod(reg->fd, 0644) < 0)
		return failed(reg, "made", err);
	return 0;
}

/* Locks the file that has the name, which another process may replace meanwhile. One that could
 * only be read is opened again: its filesystem may have been mounted for writing since. */
static int lock(struct mail_register *reg, struct err *err)
{
	if (reg->refused)
		forget(reg);
	for (;;) {
		uint64_t held;

		if (refresh(reg, err) < 0 || (reg->fd < 0 && make_file(reg, err) < 0))
			return -1;
		held = reg->opened;
		if (flock(reg->fd, LOCK_EX) < 0)
			return failed(reg, "locked", err);
		if (refresh(reg, err) < 0)
			return -1;
		if (reg->opened == held)
			return 0;
	}
}

/* A file with the latest entries alone, under the lock of the one that it replaces. */
static int compact(struct mail_register *reg)
{
	char name[4096];
	struct mail_register fresh = {.file = name, .fd = -1};
	int n = snprintf(name, sizeof(name), "%s.new", reg->file), result = -1;

	if (n < 0 || (size_t)n >= sizeof(name))
		return -1;
	fresh.fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fresh.fd < 0)
		return -1;
	result = fchmod(fresh.fd, 0644) < 0 ? -1 : write_at(fresh.fd, MAGIC, 16, 0);
	for (size_t i = 0; i < reg->room && result == 0; i++) {
		struct entry entry = {.key = reg->keys[i]};

		if (!entry.key.kind || entry.key.kind == STORED_FORGOTTEN)
			continue;
		seal(&entry);
		result = write_at(fresh.fd, &entry, sizeof(entry), offset_of(fresh.entries++));
	}
	if (result == 0 && (fsync(fresh.fd) < 0 || rename(name, reg->file) < 0))
		result = -1;
	if (result < 0)
		(void)unlink(name);
	close(fresh.fd);
	return result < 0 ? -1 : flush_folder(reg);
}

static int append(struct mail_register *reg, const struct key *key, struct err *err)
{
	struct entry entry = {.key = *key};
	uint64_t at = offset_of(reg->entries);

	seal(&entry);
	if (reg->refused) {
		errno = reg->refused;
		return failed(reg, "written", err);
	}
	if (reg->count >= REGISTER_MAX)
		return err_set(err, EX_TEMPFAIL, "the register %s is full: %u maildrops", reg->file,
			       REGISTER_MAX);
	if ((reg->entries == 0 && write_at(reg->fd, MAGIC, 16, 0) < 0) ||
	    write_at(reg->fd, &entry, sizeof(entry), at) < 0) {
		failed(reg, "written", err);
		(void)!ftruncate(reg->fd, (off_t)at); /* part of an entry is none */
		return -1;
	}
	reg->unflushed = true;
	if (remember(reg, key) < 0)
		return failed(reg, "read", err);
	reg->entries++;
	return 0;
}

int register_flush(struct mail_register *reg, struct err *err)
{
	if (!reg->unflushed)
		return 0;
	/* a failure of another entry may have closed the file since */
	if (reg->fd < 0 && refresh(reg, err) < 0)
		return -1;
	if (reg->fd < 0) {
		errno = ENOENT;
		return failed(reg, "flushed", err);
	}
	if (fsync(reg->fd) < 0 || flush_folder(reg) < 0) {
		/* the kernel may show, from now on, what it could not write */
		reg->suspect = true;
		return failed(reg, "flushed", err);
	}
	reg->unflushed = false;
	return 0;
}

static int enter(struct mail_register *reg, const struct key *key, enum register_flush flush,
		 struct err *err)
{
	int result = lock(reg, err);

	if (result == 0 &&
	    (kind_in_memory(reg, key) != key->kind || (flush != REGISTER_LATER && reg->suspect)))
		result = append(reg, key, err);
	if (result == 0 && flush == REGISTER_NOW)
		result = register_flush(reg, err);
	if (result == 0 && reg->entries > 2 * (uint64_t)reg->count + WASTE)
		(void)compact(reg); /* else at the next entry */
	if (reg->fd >= 0)
		(void)flock(reg->fd, LOCK_UN);
	if (result < 0)
		forget(reg);
	return result;
}

int register_enter(struct mail_register *reg, pop3_span location, enum register_kind kind,
		   enum register_flush flush, struct err *err)
{
	struct key key = key_of(location, kind);

	return enter(reg, &key, flush, err);
}

int register_note(struct mail_register *reg, pop3_span location, enum register_fact fact,
		  pop3_span words, bool is_so, enum register_flush flush, struct err *err)
{
	struct key key;

	if (key_of_fact(location, fact, words, is_so, &key) < 0)
		return err_set(err, EX_DATAERR, "a location is too long for the register");
	return enter(reg, &key, flush, err);
}

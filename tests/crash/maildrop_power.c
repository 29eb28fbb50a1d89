/*
 * Power cuts: the maildrop's work is recorded as writes, names and flushes; then, for every instant
 * of it, the disk is put together as it may be found: what was flushed is there, of everything else
 * any part may or may not have happened (all combinations up to a bound, chosen ones and random
 * ones beyond; writes may be torn). Each time the maildrop must be as it should be. Prints how many
 * states were tried. Argument: how many random ones for each instant.
 */
#include "scenarios.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OBJECTS_MAX 512
#define OPERATIONS_MAX 4096
#define ENTRIES_MAX 128
#define SCENARIOS_MAX 32
#define ALL_SUBSETS 5 /* so many open operations: all combinations */

/* A file or directory of the recorded run. What it holds is as of the last state made. */
struct object {
	bool directory;
	ino_t inode;             /* in the recorded run */
	struct timespec changed; /* of a directory, after the last operation applied */
	/* a file's octets, a directory's entries, at the beginning of the run and now */
	char *first, *now;
	size_t first_size, now_size, room;
	struct entry {
		char name[256];
		int object;
	} * entries;
	int entry_count, first_count;
	struct entry *first_entries;
	struct timespec first_changed;
	/* in the state on the disk */
	ino_t real_inode;
	struct timespec real_changed;
	char real_path[700];
};

enum kind { WRITE, TRUNCATE, SET, REMOVE, FLUSH, NOTE };

struct operation {
	enum kind kind;
	int object;  /* the file written, the directory changed, whatever is flushed */
	int target;  /* SET: what gets the name */
	int needs;   /* REMOVE of a rename: its SET; -1: none */
	int durable; /* index of the flush that makes it so, or OPERATIONS_MAX */
	char name[256];
	char *data;
	size_t size;
	off_t offset;
	struct timespec changed; /* the directory's time afterwards */
	struct progress progress;
};

static struct object objects[OBJECTS_MAX];
static struct operation operations[OPERATIONS_MAX];
static int object_count, operation_count;
static bool recording, faked_times;

/* ---- recording ---- */

static int object_of_inode(ino_t inode)
{
	for (int i = object_count - 1; i >= 0; i--)
		if (objects[i].inode == inode)
			return i;
	errx(1, "an unknown file was touched");
}

static int object_of_fd(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		err(1, "fstat");
	return object_of_inode(st.st_ino);
}

static int new_object(ino_t inode, bool directory)
{
	if (object_count == OBJECTS_MAX)
		errx(1, "too many files");
	objects[object_count] = (struct object){.inode = inode, .directory = directory};
	if (directory)
		objects[object_count].entries = calloc(ENTRIES_MAX, sizeof(struct entry));
	return object_count++;
}

static struct operation *new_operation(enum kind kind, int object)
{
	struct operation *o = &operations[operation_count];

	if (operation_count == OPERATIONS_MAX)
		errx(1, "too many operations");
	*o = (struct operation){.kind = kind, .object = object, .needs = -1};
	operation_count++;
	return o;
}

static struct timespec time_of(int dir)
{
	struct stat st;

	if (fstat(dir, &st) < 0)
		err(1, "fstat");
	return st.st_ctim;
}

static void record_set(int dir, const char *name, int target)
{
	struct operation *o = new_operation(SET, object_of_fd(dir));

	o->target = target;
	snprintf(o->name, sizeof(o->name), "%s", name);
	o->changed = time_of(dir);
}

static void record_remove(int dir, const char *name, int needs)
{
	struct operation *o = new_operation(REMOVE, object_of_fd(dir));

	o->needs = needs;
	snprintf(o->name, sizeof(o->name), "%s", name);
	o->changed = time_of(dir);
}

static int r_openat(int dir, const char *path, int flags, mode_t mode)
{
	bool is_new = recording && flags & O_CREAT && faccessat(dir, path, F_OK, 0) < 0;
	int fd = openat(dir, path, flags, mode);
	struct stat st;

	if (!recording || fd < 0 || !(flags & O_CREAT))
		return fd;
	if (is_new) {
		if (fstat(fd, &st) < 0)
			err(1, "fstat");
		record_set(dir, path, new_object(st.st_ino, false));
	} else if (flags & O_TRUNC) {
		new_operation(TRUNCATE, object_of_fd(fd));
	}
	return fd;
}

static ssize_t r_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
	ssize_t result = pwrite(fd, buf, n, offset);
	struct operation *o;

	if (!recording || result <= 0)
		return result;
	o = new_operation(WRITE, object_of_fd(fd));
	o->data = malloc((size_t)result);
	memcpy(o->data, buf, (size_t)result);
	o->size = (size_t)result;
	o->offset = offset;
	return result;
}

static int r_ftruncate(int fd, off_t size)
{
	int result = ftruncate(fd, size);

	if (recording && result == 0)
		new_operation(TRUNCATE, object_of_fd(fd))->size = (size_t)size;
	return result;
}

static int r_fsync(int fd)
{
	if (recording)
		new_operation(FLUSH, object_of_fd(fd));
	return 0;
}

static int r_renameat2(int a, const char *b, int c, const char *d, unsigned flags)
{
	struct stat st;
	int result, set;

	if (!recording)
		return renameat2(a, b, c, d, flags);
	if (fstatat(a, b, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	result = renameat2(a, b, c, d, flags);
	if (result < 0)
		return result;
	set = operation_count;
	record_set(c, d, object_of_inode(st.st_ino));
	record_remove(a, b, set);
	return 0;
}

static int r_unlinkat(int dir, const char *name, int flags)
{
	int result = unlinkat(dir, name, flags);

	if (recording && result == 0)
		record_remove(dir, name, -1);
	return result;
}

static int r_linkat(int a, const char *b, int c, const char *d, int flags)
{
	int result = linkat(a, b, c, d, flags);
	struct stat st;

	if (!recording || result < 0)
		return result;
	if (fstatat(c, d, &st, AT_SYMLINK_NOFOLLOW) < 0)
		err(1, "fstatat");
	record_set(c, d, object_of_inode(st.st_ino));
	return 0;
}

static int r_mkdirat(int dir, const char *name, mode_t mode)
{
	int result = mkdirat(dir, name, mode);
	struct stat st;

	if (!recording || result < 0)
		return result;
	if (fstatat(dir, name, &st, 0) < 0)
		err(1, "fstatat");
	record_set(dir, name, new_object(st.st_ino, true));
	objects[object_count - 1].first_changed = st.st_ctim;
	return 0;
}

static void record_note(struct run *run)
{
	new_operation(NOTE, 0)->progress = *run->progress;
}

/* What is there before the work: all of it on the disk. */
static int take_tree(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC), object;
	struct object *o;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		err(1, "%s", name);
	object = new_object(st.st_ino, S_ISDIR(st.st_mode));
	o = &objects[object];
	if (!o->directory) {
		o->first_size = (size_t)st.st_size;
		o->first = malloc(o->first_size + 1);
		if (pread(fd, o->first, o->first_size, 0) != st.st_size)
			err(1, "%s", name);
		close(fd);
		return object;
	}
	o->first_changed = st.st_ctim;
	o->first_entries = calloc(ENTRIES_MAX, sizeof(struct entry));
	DIR *dir = fdopendir(fd);
	struct dirent *e;

	while ((e = readdir(dir)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		struct entry *entry = &o->first_entries[o->first_count++];

		snprintf(entry->name, sizeof(entry->name), "%s", e->d_name);
		entry->object = take_tree(dirfd(dir), e->d_name);
	}
	closedir(dir);
	return object;
}

static void find_durability(void)
{
	for (int i = 0; i < operation_count; i++) {
		operations[i].durable = OPERATIONS_MAX;
		for (int f = i + 1; f < operation_count; f++) {
			if (operations[f].kind == FLUSH &&
			    operations[f].object == operations[i].object) {
				operations[i].durable = f;
				break;
			}
		}
	}
}

/* ---- putting a state together ---- */

static void resize_file(struct object *o, size_t size)
{
	if (size > o->room) {
		o->room = size * 2;
		o->now = realloc(o->now, o->room);
	}
	if (size > o->now_size)
		memset(o->now + o->now_size, 0, size - o->now_size);
	o->now_size = size;
}

static void begin_state(void)
{
	for (int i = 0; i < object_count; i++) {
		struct object *o = &objects[i];

		o->real_inode = 0;
		o->changed = o->first_changed;
		if (o->directory) {
			if (o->first_count)
				memcpy(o->entries, o->first_entries,
				       (size_t)o->first_count * sizeof(struct entry));
			o->entry_count = o->first_count;
			continue;
		}
		o->now_size = 0;
		resize_file(o, o->first_size);
		if (o->first_size)
			memcpy(o->now, o->first, o->first_size);
	}
}

static struct entry *find_entry(struct object *o, const char *name)
{
	for (int i = 0; i < o->entry_count; i++)
		if (strcmp(o->entries[i].name, name) == 0)
			return &o->entries[i];
	return NULL;
}

static void apply_operation(const struct operation *op, size_t torn)
{
	struct object *o = &objects[op->object];
	struct entry *e;

	switch (op->kind) {
	case WRITE:
		if ((size_t)op->offset + torn > o->now_size)
			resize_file(o, (size_t)op->offset + torn);
		memcpy(o->now + op->offset, op->data, torn);
		break;
	case TRUNCATE:
		resize_file(o, op->size);
		break;
	case SET:
		e = find_entry(o, op->name);
		if (!e) {
			if (o->entry_count == ENTRIES_MAX)
				errx(1, "too many names");
			e = &o->entries[o->entry_count++];
		}
		snprintf(e->name, sizeof(e->name), "%s", op->name);
		e->object = op->target;
		o->changed = op->changed;
		break;
	case REMOVE:
		e = find_entry(o, op->name);
		if (e)
			*e = o->entries[--o->entry_count];
		o->changed = op->changed;
		break;
	case FLUSH:
	case NOTE:
		break;
	}
}

static void write_object(int object, const char *path)
{
	struct object *o = &objects[object];
	struct stat st;

	if (o->real_inode) { /* a second name */
		if (link(o->real_path, path) < 0)
			err(1, "%s", path);
		return;
	}
	snprintf(o->real_path, sizeof(o->real_path), "%s", path);
	if (o->directory) {
		if (object && mkdir(path, 0700) < 0)
			err(1, "%s", path);
		for (int i = 0; i < o->entry_count; i++) {
			char below[700];

			if (snprintf(below, sizeof(below), "%s/%s", path, o->entries[i].name) >=
			    (int)sizeof(below))
				errx(1, "%s: too long", path);
			write_object(o->entries[i].object, below);
		}
	} else {
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		if (fd < 0 || pwrite(fd, o->now, o->now_size, 0) != (ssize_t)o->now_size)
			err(1, "%s", path);
		close(fd);
	}
	if (lstat(path, &st) < 0)
		err(1, "%s", path);
	o->real_inode = st.st_ino;
	o->real_changed = st.st_ctim;
}

/* ---- the kernel as the maildrop sees it after the cut: inodes, and if asked for the times of
 * directories, are those that were on the disk ---- */

static const struct object *object_of_real(ino_t inode)
{
	for (int i = 0; i < object_count; i++)
		if (objects[i].real_inode == inode)
			return &objects[i];
	return NULL;
}

static void translate(struct stat *st)
{
	const struct object *o = recording ? NULL : object_of_real(st->st_ino);

	if (!o)
		return;
	st->st_ino = o->inode;
	if (faked_times && o->directory && st->st_ctim.tv_sec == o->real_changed.tv_sec &&
	    st->st_ctim.tv_nsec == o->real_changed.tv_nsec)
		st->st_ctim = o->changed;
}

static int r_fstat(int fd, struct stat *st)
{
	int result = fstat(fd, st);

	if (result == 0)
		translate(st);
	return result;
}

static int r_fstatat(int dir, const char *name, struct stat *st, int flags)
{
	int result = fstatat(dir, name, st, flags);

	if (result == 0)
		translate(st);
	return result;
}

static ssize_t r_getdents64(int fd, void *buf, size_t n)
{
	ssize_t size = getdents64(fd, buf, n);

	for (ssize_t at = 0; at < size && !recording;) {
		struct dirent64 *e = (struct dirent64 *)((char *)buf + at);
		const struct object *o = object_of_real(e->d_ino);

		if (o)
			e->d_ino = o->inode;
		at += e->d_reclen;
	}
	return size;
}

static struct maildrop_syscalls table(void)
{
	struct maildrop_syscalls t = maildrop_kernel;

	t.openat = r_openat;
	t.pwrite = r_pwrite;
	t.ftruncate = r_ftruncate;
	t.fsync = r_fsync;
	t.fdatasync = r_fsync;
	t.renameat2 = r_renameat2;
	t.linkat = r_linkat;
	t.unlinkat = r_unlinkat;
	t.mkdirat = r_mkdirat;
	t.fstat = r_fstat;
	t.fstatat = r_fstatat;
	t.getdents64 = r_getdents64;
	return t;
}

/* ---- trying ---- */

struct trial {
	struct run *run;
	const struct scenario *scenario;
	const char *path;
	int instant;
	const int *open; /* operations that may or may not have happened */
	int open_count;
	unsigned long states;
};

static size_t tear(const struct operation *op, bool torn)
{
	if (op->kind != WRITE || !torn || rand() % 4)
		return op->size;
	return (size_t)rand() % op->size / (rand() % 2 ? 1 : 512) * (rand() % 2 ? 1 : 512) %
	       op->size;
}

/* chosen[i]: open operation i has happened. */
static void try_state(struct trial *t, const bool *chosen, bool torn)
{
	bool happened[OPERATIONS_MAX];
	const char *bad;
	bool is_open;
	int k = 0;

	begin_state();
	*t->run->progress = (struct progress){0};
	for (int i = 0; i < t->instant; i++) {
		struct operation *op = &operations[i];

		happened[i] = true;
		if (op->kind == NOTE)
			*t->run->progress = op->progress;
		is_open = k < t->open_count && t->open[k] == i;
		if (is_open)
			happened[i] = chosen[k++];
		/* a name goes only when the other one has come: filesystems keep a rename whole */
		if (op->needs >= 0 && !happened[op->needs])
			happened[i] = false;
		if (happened[i])
			apply_operation(op, tear(op, torn && is_open));
	}
	scratch_clear(t->path);
	write_object(0, t->path);
	faked_times = rand() % 2;
	bad = check_maildrop(t->run, t->scenario);
	t->states++;
	if (!bad)
		return;
	fprintf(stderr, "%s, power cut at operation %d%s%s: %s (left in %s)\n", t->scenario->name,
		t->instant, torn ? ", torn writes" : "", faked_times ? ", times kept" : "", bad,
		t->path);
	for (k = 0; k < t->open_count; k++) {
		const struct operation *op = &operations[t->open[k]];
		static const char *const words[] = {"write", "truncate", "set", "remove"};

		fprintf(stderr, "  %s %d %s object %d %s size %zu\n", chosen[k] ? "+" : "-",
			t->open[k], words[op->kind], op->object, op->name, op->size);
	}
	exit(1);
}

static void try_instant(struct trial *t, int random_states)
{
	bool chosen[OPERATIONS_MAX];
	int n = t->open_count;

	if (n <= ALL_SUBSETS) {
		for (unsigned bits = 0; bits < 1u << n; bits++) {
			for (int k = 0; k < n; k++)
				chosen[k] = bits >> k & 1;
			try_state(t, chosen, false);
		}
	} else {
		/* nothing, everything, everything but one */
		for (int but = -2; but < n; but++) {
			for (int k = 0; k < n; k++)
				chosen[k] = but != -2 && k != but;
			try_state(t, chosen, false);
		}
	}
	for (int i = 0; i < random_states && n; i++) {
		for (int k = 0; k < n; k++)
			chosen[k] = rand() % (i % 3 + 2) != 0;
		try_state(t, chosen, true);
	}
}

static void forget_record(void)
{
	for (int i = 0; i < operation_count; i++)
		free(operations[i].data);
	for (int i = 0; i < object_count; i++) {
		free(objects[i].first);
		free(objects[i].now);
		free(objects[i].entries);
		free(objects[i].first_entries);
	}
	object_count = operation_count = 0;
}

static unsigned long run_once(struct run *run, const char *path, const struct scenario *scenario,
			      int random_states)
{
	struct trial t = {.run = run, .scenario = scenario, .path = path};
	int open[OPERATIONS_MAX];

	forget_record();
	scratch_clear(path);
	*run->progress = (struct progress){0};
	run->settings.retention.keep_seconds = scenario->keeps ? 3600 : 0;
	if (scenario->prepare)
		scenario->prepare(run);
	take_tree(AT_FDCWD, path);
	recording = true;
	run->note = record_note;
	scenario->work(run);
	run->note = NULL;
	recording = false;
	find_durability();
	for (t.instant = 0; t.instant <= operation_count; t.instant++) {
		/* the same disk as before: a flush changes what may be missing, a note what must
		 * not be */
		t.open = open;
		t.open_count = 0;
		for (int i = 0; i < t.instant; i++)
			if (operations[i].kind < FLUSH && operations[i].durable >= t.instant)
				open[t.open_count++] = i;
		try_instant(&t, random_states);
	}
	return t.states;
}

/* Two faults in a row: the work dies at each of its changes; what the next process makes of it is
 * cut off by the power. */
static unsigned long run_scenario(struct run *run, const char *path,
				  const struct scenario *scenario, int random_states)
{
	unsigned long states = 0;

	if (!scenario->twice)
		return run_once(run, path, scenario, random_states);
	work_dies_at = 0;
	do {
		work_dies_at++;
		states += run_once(run, path, scenario, random_states > 1 ? 1 : 0);
	} while (work_died);
	return states;
}

/* Each scenario in a process of its own, all at once. */
static pid_t start(int which, int random_states, int result)
{
	struct maildrop_syscalls recorder = table();
	struct progress progress = {0};
	struct run run = {.progress = &progress,
			  .restarted = true,
			  .settings = {.driver = scenario_driver,
				       .host_name = "crash.example",
				       .syscalls = &recorder}};
	unsigned long states;
	char path[128];
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (pid)
		return pid;
	srand((unsigned)which + 1);
	run.root = scratch_make(path);
	states = run_scenario(&run, path, &scenarios[which], random_states);
	scratch_remove(path);
	if (write(result, &states, sizeof(states)) != sizeof(states))
		err(1, "pipe");
	exit(0);
}

int main(int argc, char **argv)
{
	int random_states = argc > 1 ? atoi(argv[1]) : 6;
	unsigned long total = 0, states;
	int pipes[SCENARIOS_MAX][2], status, failed = 0;

	if (scenario_count > SCENARIOS_MAX)
		errx(1, "too many scenarios");
	for (int i = 0; i < scenario_count; i++) {
		if (pipe(pipes[i]) < 0)
			err(1, "pipe");
		start(i, random_states, pipes[i][1]);
		close(pipes[i][1]);
	}
	for (int i = 0; i < scenario_count; i++) {
		if (read(pipes[i][0], &states, sizeof(states)) != sizeof(states))
			continue; /* it failed, and said so */
		printf("%-28s %6lu states\n", scenarios[i].name, states);
		total += states;
	}
	while (wait(&status) > 0)
		failed |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	if (failed)
		return 1;
	printf("power cut in %lu states, all well\n", total);
	return 0;
}

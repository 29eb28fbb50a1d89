/*
 * Everybody at once on one Maildir: two that deliver through Valija, one that delivers by itself, a
 * mail reader that moves and renames, and sessions that delete. Whatever the order in which they
 * get their turns: no message is lost, none comes back, none is there twice, no unique id changes
 * its message.
 */
#include "maildrop_test.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define OURS 120   /* deliveries of each of the two */
#define THEIRS 150 /* of the other program */
#define ALL (2 * OURS + THEIRS)

struct shared {
	bool deleted[ALL], seen[ALL];
	char ids[ALL][POP3_UNIQUE_ID_MAX + 1];
	bool over; /* all deliveries are done */
};

/* A process' life; its failures are its exit status. */
typedef void life(struct scratch *s, struct shared *shared, unsigned first);

static void deliver_ours(struct scratch *s, struct shared *shared, unsigned first)
{
	char text[64];

	(void)shared;
	for (unsigned i = 0; i < OURS; i++) {
		snprintf(text, sizeof(text), "N: %u\r\n\r\n", first + i);
		if (deliver_text(s, text, (struct maildrop_quota){0}, NULL) != MAILDROP_OK)
			_exit(1);
	}
}

static void deliver_theirs(struct scratch *s, struct shared *shared, unsigned first)
{
	char path[200], name[200], text[64];

	(void)shared;
	for (unsigned i = 0; i < THEIRS; i++) {
		int fd;

		snprintf(path, sizeof(path), HOME "/tmp/theirs.%u", i);
		snprintf(name, sizeof(name), HOME "/new/%u.theirs%s", 1000000 + i,
			 i % 3 ? "" : ",S=999,W=999");
		snprintf(text, sizeof(text), "Delivered-To: alice\nN: %u\n\n", first + i);
		fd = openat(s->root, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
		if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
			_exit(2);
		close(fd);
		if (renameat(s->root, path, s->root, name) < 0)
			_exit(3);
		usleep(100);
	}
}

/* Marks what is in cur/, and moves what is in new/, as IMAP servers do. */
static void read_mail(struct scratch *s, struct shared *shared, unsigned first)
{
	char folder[200], from[600], to[600];

	(void)first;
	for (unsigned round = 0; !shared->over; round++) {
		const char *where = round % 4 ? "cur" : "new";
		struct dirent *e;
		DIR *dir;

		snprintf(folder, sizeof(folder), "%s/" HOME "/%s", s->path, where);
		dir = opendir(folder);
		while (dir && (e = readdir(dir)) != NULL) {
			const char *colon = strchr(e->d_name, ':');
			int n = colon ? (int)(colon - e->d_name) : (int)strlen(e->d_name);

			if (e->d_name[0] == '.' || rand() % 3)
				continue;
			snprintf(from, sizeof(from), HOME "/%s/%s", where, e->d_name);
			snprintf(to, sizeof(to), HOME "/cur/%.*s:2,%s", n, e->d_name,
				 rand() % 2 ? "S" : "FS");
			(void)renameat(s->root, from, s->root, to);
		}
		if (dir)
			closedir(dir);
		usleep(300);
	}
}

/* One session. Returns how many messages it was shown, or ends the process. */
static uint32_t session(struct scratch *s, struct shared *shared, bool deleting)
{
	struct maildrop *m = NULL;
	uint32_t numbers[ALL], count = 0, shown;
	bool here[ALL] = {false};

	if (maildrop_open(&s->settings, s->root, HOME, &m, NULL) != MAILDROP_OK)
		_exit(10);
	shown = session_count(m);
	for (uint32_t n = 1; n <= shown; n++) {
		struct listed e = session_entry(m, n);
		char text[200], id[POP3_UNIQUE_ID_MAX + 1] = "";
		enum maildrop_status status = read_body(m, n, text, sizeof(text));
		unsigned which;

		memcpy(id, e.unique_id, e.unique_id_size);
		if (status == MAILDROP_GONE)
			continue; /* renamed in this very moment */
		if (status < 0 || sscanf(text, "Delivered-To: alice\nN: %u", &which) != 1 ||
		    which >= ALL)
			_exit(11);
		if (e.octets != strlen(text) + 3)
			_exit(12);
		if (shared->deleted[which])
			_exit(13);
		if (here[which])
			_exit(14);
		if (shared->seen[which] && strcmp(shared->ids[which], id) != 0)
			_exit(15);
		here[which] = shared->seen[which] = true;
		memcpy(shared->ids[which], id, sizeof(id));
		if (deleting && rand() % 4 == 0) {
			numbers[count++] = n;
			shared->deleted[which] = true;
		}
	}
	if (count && maildrop_commit(m, numbers, count, NULL) != MAILDROP_OK)
		_exit(16);
	if (rand() % 3)
		maildrop_sweep(m);
	maildrop_close(m);
	return shown;
}

static void collect(struct scratch *s, struct shared *shared, unsigned first)
{
	(void)first;
	while (!shared->over)
		(void)session(s, shared, rand() % 2);
}

static pid_t start(struct scratch *s, struct shared *shared, life *live, unsigned first)
{
	pid_t pid = fork();

	if (pid == 0) {
		srand(first + 1);
		live(s, shared, first);
		_exit(0);
	}
	return pid;
}

static void assert_well(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void everybody_at_once(void **state)
{
	struct scratch *s = *state;
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t ours[2], theirs, reader, sessions;
	uint32_t left = 0;

	assert_ptr_not_equal(shared, MAP_FAILED);
	make_maildir(s);
	ours[0] = start(s, shared, deliver_ours, 0);
	ours[1] = start(s, shared, deliver_ours, OURS);
	theirs = start(s, shared, deliver_theirs, 2 * OURS);
	reader = start(s, shared, read_mail, 7);
	sessions = start(s, shared, collect, 8);
	assert_well(ours[0]);
	assert_well(ours[1]);
	assert_well(theirs);
	shared->over = true;
	assert_well(reader);
	assert_well(sessions);
	/* one more look at everything, as a change of both directories makes it happen */
	put_file(s, "new/last", "Delivered-To: alice\nN: 0\n\n");
	remove_file(s, "new/last");
	put_file(s, "cur/last:2,", "x");
	remove_file(s, "cur/last:2,");
	for (int i = 0; i < ALL; i++)
		left += !shared->deleted[i];
	assert_int_equal(session(s, shared, false), left);
	assert_int_equal(session(s, shared, false), left);
	munmap(shared, sizeof(*shared));
}

/* Deliveries are flushed for nobody's benefit here. */
static int no_flush(int fd)
{
	(void)fd;
	return 0;
}

static int quick_begin(void **state)
{
	static struct maildrop_syscalls quick;
	int result = scratch_begin(state);
	struct scratch *s = *state;

	quick = maildrop_kernel;
	quick.fsync = quick.fdatasync = no_flush;
	s->settings.syscalls = &quick;
	return result;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(everybody_at_once, quick_begin, scratch_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

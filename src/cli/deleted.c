/*
 * `valija deleted`: who deleted what in a maildrop, when, from where and with which password: its
 * journal (maildrop/deleted.h), read as the owner of the mail. See valija-deleted(1).
 */
#include "cli/deleted.h"

#include "base/array.h"
#include "cli/command.h"
#include "cli/mailbox.h"
#include "maildrop/deleted.h"
#include "maildrop/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* A message that is kept, and the newest line that is about its file. */
struct still {
	uint64_t inode, stored, time;
	size_t line; /* from 1; 0: none */
};

struct request {
	const char *config, *folder, *name;
	struct mailbox *mailbox; /* NULL: folder is named */
	bool json;
	size_t lines; /* looked at */
	struct still *kept;
	size_t kept_count, kept_room;
};

static int usage(FILE *out, int status)
{
	fputs("usage: valija deleted [-c CONF] [--json] USER\n"
	      "       valija deleted [--json] -m MAILDIR\n",
	      out);
	return status;
}

static int parse(int argc, char **argv, struct request *ret)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"maildir", required_argument, NULL, 'm'},
						{"json", no_argument, NULL, 'j'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "c:m:h", options, NULL)) != -1) {
		if (c == 'c')
			ret->config = optarg;
		else if (c == 'm')
			ret->folder = optarg;
		else if (c == 'j')
			ret->json = true;
		else
			return c == 'h' ? 1 : -1;
	}
	if (optind < argc)
		ret->name = argv[optind++];
	return optind == argc && !ret->folder != !ret->name && !(ret->folder && ret->config) ? 0
											     : -1;
}

/* ---- what is kept ---- */

static int take_kept(void *context, const struct kept *kept)
{
	struct request *request = context;
	struct still *grown =
		array_grow(request->kept, request->kept_count, &request->kept_room, sizeof(*grown));

	if (!grown)
		return -1;
	request->kept = grown;
	grown[request->kept_count++] =
		(struct still){.inode = kept->inode, .stored = kept->stored, .time = kept->time};
	return 0;
}

static int compare_still(const void *a, const void *b)
{
	const struct still *one = a, *other = b;

	return one->inode < other->inode ? -1 : one->inode > other->inode;
}

static struct still *find_still(const struct request *request, const struct deleted *deleted)
{
	struct still wanted = {.inode = deleted->inode};
	struct still *found = request->kept_count
				      ? bsearch(&wanted, request->kept, request->kept_count,
						sizeof(wanted), compare_still)
				      : NULL;

	return found && deleted->what != DELETED_RESTORED && found->stored == deleted->stored &&
			       found->time >= deleted->time
		       ? found
		       : NULL;
}

/* An inode may have been another file's before. */
static void match_one(void *context, const struct deleted *deleted)
{
	struct request *request = context;
	struct still *still = find_still(request, deleted);

	request->lines++;
	if (still)
		still->line = request->lines;
}

static int match_kept(struct request *request, int folder, struct err *err)
{
	int rc;

	if (kept_each(&maildrop_kernel, folder, take_kept, request) < 0)
		return err_sys(err, EX_NOINPUT, errno, "%s cannot be read", KEPT_FOLDER);
	if (request->kept_count)
		qsort(request->kept, request->kept_count, sizeof(*request->kept), compare_still);
	rc = deleted_each(&maildrop_kernel, folder, match_one, request, err);
	request->lines = 0;
	return rc;
}

/* ---- what is printed ---- */

static void print_time(uint64_t seconds, char *buf, size_t size)
{
	time_t at = (time_t)seconds;
	struct tm tm;

	if (!localtime_r(&at, &tm) || !strftime(buf, size, "%F %T", &tm))
		snprintf(buf, size, "%" PRIu64, seconds);
}

static void print_row(const struct request *request, const struct deleted *deleted, bool kept)
{
	char session[DELETED_TEXT_MAX], address[DELETED_TEXT_MAX], when[40];

	if (request->lines == 1)
		printf("%-19s %-8s %-22s %-24s %-16s %10s %-4s %s\n", "TIME", "WHAT", "SESSION",
		       "ADDRESS", "CREDENTIAL", "OCTETS", "KEPT", "UNIQUE-ID");
	print_time(deleted->time, when, sizeof(when));
	printf("%-19s %-8s %-22s %-24s %-16s %10" PRIu64 " %-4s %s\n", when,
	       deleted_word(deleted->what), deleted_session(&deleted->by, session),
	       deleted_address(&deleted->by, address),
	       deleted->by.label[0] ? deleted->by.label : "-", deleted->stored, kept ? "yes" : "no",
	       deleted->id);
}

/* text is printable ASCII; "-": null. */
static void print_string(const char *name, const char *text)
{
	printf(", \"%s\": ", name);
	if (strcmp(text, "-") == 0) {
		fputs("null", stdout);
		return;
	}
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('"');
}

static void print_json(const struct request *request, const struct deleted *deleted, bool kept)
{
	char session[DELETED_TEXT_MAX], address[DELETED_TEXT_MAX];

	printf("%s\n  {\"time\": %" PRIu64, request->lines > 1 ? "," : "[", deleted->time);
	print_string("what", deleted_word(deleted->what));
	print_string("session", deleted_session(&deleted->by, session));
	print_string("address", deleted_address(&deleted->by, address));
	print_string("credential", deleted->by.label[0] ? deleted->by.label : "-");
	printf(", \"octets\": %" PRIu64 ", \"kept\": %s", deleted->stored, kept ? "true" : "false");
	print_string("id", deleted->id);
	putchar('}');
}

static void print_one(void *context, const struct deleted *deleted)
{
	struct request *request = context;

	const struct still *still = find_still(request, deleted);
	bool kept;

	request->lines++;
	kept = still && still->line == request->lines;
	if (request->json)
		print_json(request, deleted, kept);
	else
		print_row(request, deleted, kept);
}

/* ---- the command ---- */

/* As the owner of the mail. */
static int show(void *context, struct err *err)
{
	struct request *request = context;
	int rc, folder;

	folder = request->mailbox ? mailbox_folder(request->mailbox, err)
				  : open(request->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return request->mailbox
			       ? -1
			       : err_sys(err, EX_NOINPUT, errno, "cannot open %s", request->folder);
	rc = match_kept(request, folder, err);
	if (rc == 0)
		rc = deleted_each(&maildrop_kernel, folder, print_one, request, err);
	close(folder);
	if (rc < 0)
		return -1;
	if (request->json)
		puts(request->lines ? "\n]" : "[]");
	return fflush(stdout) == 0 ? 0 : err_sys(err, EX_IOERR, errno, "cannot write");
}

static int show_folder(struct request *request, struct err *err)
{
	struct stat st;

	if (stat(request->folder, &st) < 0)
		return err_sys(err, EX_NOINPUT, errno, "%s", request->folder);
	return maker_as_owner(st.st_uid, st.st_gid, show, request, err);
}

static int show_user(struct request *request, struct err *err)
{
	struct mailbox *mailbox = calloc(1, sizeof(*mailbox));
	int rc;

	if (!mailbox)
		return err_set(err, EX_OSERR, "out of memory");
	request->mailbox = mailbox;
	rc = mailbox_open(mailbox, request->config, request->name, err);
	if (rc == 0)
		rc = mailbox_check_maildir(mailbox, err);
	if (rc == 0)
		rc = mailbox_as_owner(mailbox, show, request, err);
	mailbox_close(mailbox);
	free(mailbox);
	return rc;
}

int deleted_main(int argc, char **argv)
{
	struct request request = {0};
	struct err err = {0};
	int rc = parse(argc, argv, &request);

	if (rc != 0)
		return rc < 0 ? usage(stderr, EX_USAGE) : usage(stdout, EX_OK);
	rc = request.folder ? show_folder(&request, &err) : show_user(&request, &err);
	free(request.kept);
	return rc < 0 ? command_failed("deleted", &err) : EX_OK;
}

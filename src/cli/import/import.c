/*
 * valija import: a site of another server moves here, and no client loads anything twice. The rule
 * by which that server made unique ids is recorded for each mail folder, and the ids are written
 * into each maildrop, or, of an mbox, into its owner's state folder, as its owner. See
 * valija-import(1).
 */
#include "cli/import/import.h"

#include "base/text.h"
#include "cli/command.h"
#include "cli/import/cyrus/cyrus.h"
#include "cli/import/dovecot_conf.h"
#include "cli/import/dovecot_rule.h"
#include "cli/import/request.h"
#include "cli/import/settings/settings.h"
#include "cli/import/totals.h"
#include "maildrop/maildir/bring.h"
#include "maildrop/mbox/bring.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

/* ---- Dovecot's rule ---- */

static int read_rule(struct import_request *request, struct err *err)
{
	struct dovecot_conf conf;
	int rc;

	if (request->undo || !mail_origin_has_format(request->origin.server))
		return 0;
	rc = dovecot_conf_read(request->settings_file, &conf, err);
	if (rc == 0)
		rc = dovecot_rule(&conf, request->from, &request->origin, err);
	dovecot_conf_finish(&conf);
	return rc;
}

/* ---- one maildrop, as its owner ---- */

/* The folder in which the other server keeps its list of this maildrop. -1 with err. */
static int open_control(const struct import_request *request, const struct person *person,
			int folder, struct err *err)
{
	const char *lists = request->lists[person->root];
	char path[CONFIG_PATH_MAX + 512];
	int n = snprintf(path, sizeof(path), "%s/%s", lists, person->home), fd = -1;

	if (!*lists)
		fd = fcntl(folder, F_DUPFD_CLOEXEC, 0);
	else if (n < 0 || (size_t)n >= sizeof(path))
		errno = ENAMETOOLONG;
	else
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, EX_NOINPUT, errno, "%s/%s", lists, person->home) : fd;
}

static enum maildrop_status bring_maildir(const struct import_request *request,
					  const struct person *person, int folder,
					  struct adopt_report *report, struct err *err)
{
	int control = open_control(request, person, folder, err);
	enum maildrop_status status;

	if (control < 0)
		return MAILDROP_TEMP;
	status = maildir_bring(folder, control, person->home, &request->origin, request->dry_run,
			       report, err);
	close(control);
	return status;
}

/* Is the mail in that folder of the kind that the server served? */
static bool is_of_kind(const struct import_request *request, uint32_t root)
{
	return (request->people.maker.roots[root].store == STORE_MBOX) == import_of_mboxes(request);
}

/* fd: the Maildir (of Cyrus, on a dry run, -1: it is not there); of mboxes, the mail folder. */
static int bring(struct import_request *request, size_t index, int fd, struct err *err)
{
	const struct maildrop_settings settings = {.state_fd = request->state};
	const struct person *person = &request->people.persons[index];
	struct adopt_report report;
	enum maildrop_status status;

	if (request->cyrus)
		status = cyrus_bring(request, index, fd, &report, err);
	else if (import_of_mboxes(request))
		status = mbox_bring(&settings, fd, person->home, &request->origin, request->dry_run,
				    &report, err);
	else
		status = bring_maildir(request, person, fd, &report, err);
	if (status != MAILDROP_OK)
		return -1;
	totals_count(request, person, &report);
	return 0;
}

static enum maildrop_status take_back_mbox(const struct import_request *request,
					   const struct person *person, int fd,
					   struct undo_report *ret, struct err *err)
{
	const struct maildrop_settings settings = {.state_fd = request->state};
	enum maildrop_status status;
	bool any, used;

	status = mbox_take_back(&settings, fd, person->home, request->dry_run, &any, &used, err);
	*ret = (struct undo_report){.is = !any ? UNDO_NOTHING : used ? UNDO_USED : UNDO_DONE};
	return status;
}

static enum maildrop_status take_back_maildir(const struct import_request *request,
					      const struct person *person, int folder,
					      struct undo_report *ret, struct err *err)
{
	enum maildrop_status status;
	int control;

	if (request->origin.server == ORIGIN_CYRUS)
		return maildir_unreceive(folder, person->home, ORIGIN_CYRUS, request->dry_run, ret,
					 err);
	control = open_control(request, person, folder, err);
	if (control < 0)
		return MAILDROP_TEMP;
	status = maildir_take_back(folder, control, person->home, request->origin.server,
				   request->config.keep_deleted_seconds > 0, request->dry_run, ret,
				   err);
	close(control);
	return status;
}

static int take_back(struct import_request *request, const struct person *person, int fd,
		     struct err *err)
{
	struct undo_report report;
	enum maildrop_status status =
		import_of_mboxes(request) ? take_back_mbox(request, person, fd, &report, err)
					  : take_back_maildir(request, person, fd, &report, err);

	if (status != MAILDROP_OK)
		return -1;
	totals_count_back(request, person, &report);
	return 0;
}

/* Of mboxes: a copy of the mail folder's descriptor. */
static int open_mail(const struct import_request *request, const struct person *person,
		     struct err *err)
{
	int root = request->people.maker.roots[person->root].fd, fd;

	if (!import_of_mboxes(request))
		return maildrop_folder(root, person->home, err);
	fd = fcntl(root, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? err_sys(err, EX_OSERR, errno, "%s", person->home) : fd;
}

/* Nothing to do for that person: it is counted. */
static bool is_left_alone(struct import_request *request, size_t index)
{
	bool failed = false;

	if (!is_of_kind(request, request->people.persons[index].root)) {
		request->totals->other++;
		return true;
	}
	if (!request->cyrus || cyrus_has_mail(request, index, &failed))
		return false;
	request->totals->plain += !failed;
	return true;
}

static void work_on(struct import_request *request, size_t index)
{
	const struct person *person = &request->people.persons[index];
	bool optional = request->cyrus && request->dry_run;
	struct err err = {0};
	int fd, rc = -1;

	if (is_left_alone(request, index))
		return;
	fd = open_mail(request, person, &err);
	if (fd < 0 && err.errnum == ENOENT && !optional) {
		request->totals->plain++;
		return;
	}
	if (fd >= 0 || (err.errnum == ENOENT && optional))
		rc = request->undo ? take_back(request, person, fd, &err)
				   : bring(request, index, fd, &err);
	if (fd >= 0)
		close(fd);
	if (rc < 0) {
		request->totals->failed++;
		totals_say(person, err.text);
	}
}

static int work_on_owner(void *context, struct err *err)
{
	struct import_request *request = context;

	(void)err;
	for (size_t i = request->first; i < request->end; i++)
		work_on(request, i);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

/* ---- all of them ---- */

/* Opened by the caller of the command: the owner may not be able to reach it. */
static int open_state(const struct import_request *request, const struct person *person)
{
	const struct maker_root *root = &request->people.maker.roots[person->root];
	uid_t uid = geteuid() == 0 ? person->uid : geteuid();
	bool makes = !request->dry_run && !request->undo;
	struct err err = {0};
	int fd;

	if (!import_of_mboxes(request) || root->store != STORE_MBOX)
		return 0;
	fd = mail_root_owner_state(&root->root, uid, person->gid, makes, &err);
	if (fd >= 0)
		return fd;
	return !makes && err.errnum == ENOENT ? MAILDROP_NO_STATE_YET : 0;
}

static bool same_owner(const struct person *x, const struct person *y)
{
	return x->uid == y->uid && x->gid == y->gid && x->root == y->root;
}

static int work_on_all(struct import_request *request, struct err *err)
{
	const struct person *persons = request->people.persons;
	int code = EX_OK, one;

	for (request->first = 0; request->first < request->people.count;
	     request->first = request->end) {
		const struct person *first = &persons[request->first];

		request->end = request->first + 1;
		while (request->end < request->people.count &&
		       same_owner(&persons[request->end], first))
			request->end++;
		if (request->cyrus && !request->dry_run)
			cyrus_make(request);
		fflush(stdout);
		request->state = open_state(request, first);
		one = maker_as_owner(first->uid, first->gid, work_on_owner, request, err);
		if (request->state > 0)
			close(request->state);
		if (one < 0)
			return -1;
		code = code == EX_OK ? one : code;
	}
	return code;
}

/* The folder of the lists of each mail folder. An import remembers it, so that nobody has to know
 * it at an undo. */
static int find_lists(struct import_request *request, struct err *err)
{
	char real[PATH_MAX];

	if (request->from && !realpath(request->from, real))
		return err_sys(err, EX_NOINPUT, errno, "%s", request->from);
	for (uint32_t i = 0; i < request->config.root_count; i++) {
		int fd = request->people.maker.roots[i].fd;

		if (!is_of_kind(request, i) || request->cyrus)
			continue;
		if (!request->from && request->undo)
			mail_origin_lists(fd, request->lists[i]);
		if (!request->from)
			continue;
		if (span_copy(span_of(real), request->lists[i], sizeof(request->lists[i])) < 0)
			return err_set(err, EX_USAGE,
				       "--from: a folder's name of %d octets at most",
				       ORIGIN_LISTS_MAX - 1);
		if (!request->undo && !request->dry_run &&
		    mail_origin_remember_lists(fd, real, err) < 0)
			return err_prefix(err, "%s", request->config.roots[i].path);
	}
	return 0;
}

/* When all is the other server's again. */
static int forget_lists(struct import_request *request, struct err *err)
{
	if (!request->undo || request->dry_run || request->named.count ||
	    request->totals->failed + request->people.failed)
		return 0;
	for (uint32_t i = 0; i < request->config.root_count; i++)
		if (is_of_kind(request, i) &&
		    mail_origin_remember_lists(request->people.maker.roots[i].fd, NULL, err) < 0)
			return err_prefix(err, "%s", request->config.roots[i].path);
	return 0;
}

/* Of each mail folder, for the maildrops that are opened later. */
static int record(struct import_request *request, struct err *err)
{
	char is[ORIGIN_TEXT_MAX], was[ORIGIN_TEXT_MAX];

	mail_origin_print(&request->origin, is);
	/* messages are not copied when a maildrop is opened, so Cyrus's rule is not for later */
	for (uint32_t i = 0; !request->cyrus && i < request->config.root_count; i++) {
		int fd = request->people.maker.roots[i].fd;
		struct mail_origin before;
		int known;

		if (!is_of_kind(request, i))
			continue;
		known = mail_origin_read(&maildrop_kernel, fd, &before, err);
		if (known < 0)
			return err_prefix(err, "%s", request->config.roots[i].path);
		if (known)
			mail_origin_print(&before, was);
		if (known && strcmp(is, was) != 0)
			return err_set(
				err, EX_CONFIG,
				"%s has another origin of ids already (%.100s; now: %.100s): "
				"take that back first (--undo)",
				request->config.roots[i].path, was, is);
		if (!known && !request->dry_run && mail_origin_write(fd, &request->origin, err) < 0)
			return err_prefix(err, "%s", request->config.roots[i].path);
	}
	printf("origin of unique ids: %s\n", is);
	return 0;
}

static int forget(struct import_request *request, struct err *err)
{
	if (request->origin.server == ORIGIN_CYRUS)
		return 0;
	for (uint32_t i = 0; !request->dry_run && i < request->config.root_count; i++)
		if (is_of_kind(request, i) &&
		    mail_origin_remove(request->people.maker.roots[i].fd, err) < 0)
			return err_prefix(err, "%s", request->config.roots[i].path);
	return 0;
}

/* -1 with err: no mail folder is of the kind that the server served. */
static int check_kind(const struct import_request *request, struct err *err)
{
	for (uint32_t i = 0; i < request->config.root_count; i++)
		if (is_of_kind(request, i))
			return 0;
	if (import_of_mboxes(request))
		return err_set(err, EX_CONFIG,
			       "the mail folder has Maildirs: if it has mboxes, write that down "
			       "first (valija mark --store mbox %s)",
			       request->config.roots[0].path);
	return err_set(
		err, EX_CONFIG,
		"the mail folder has mboxes: run valija import mbox --ids SERVER, or nothing "
		"to give new ids");
}

/* Dovecot's settings are brought where there is no configuration yet; its users and their mail
 * cannot be found without one. */
static bool wants_settings(const struct import_request *request)
{
	return request->origin.server == ORIGIN_DOVECOT && request->settings_file &&
	       !request->undo && !request->from && !request->named.count &&
	       access(command_config(request->config_file), F_OK) < 0 && errno == ENOENT;
}

static bool is_from_cyrus(const struct import_request *request)
{
	return request->origin.server == ORIGIN_CYRUS && !request->undo;
}

static int run(struct import_request *request, struct err *err)
{
	int code;

	if (wants_settings(request))
		return settings_bring(request->settings_file, command_config(request->config_file),
				      request->dry_run, err);

	request->totals = mmap(NULL, sizeof(*request->totals), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (request->totals == MAP_FAILED)
		return err_sys(err, EX_OSERR, errno, "out of memory");
	if (config_load(command_config(request->config_file), &request->config, err) < 0 ||
	    read_rule(request, err) < 0 ||
	    people_find(&request->people, &request->config, &request->named, err) < 0 ||
	    check_kind(request, err) < 0 ||
	    (is_from_cyrus(request) && cyrus_begin(request, err) < 0))
		return -1;
	if (find_lists(request, err) < 0)
		return -1;
	/* the rule is for all who come later, so it is not that of a few users */
	if (!request->named.count &&
	    (request->undo ? forget(request, err) : record(request, err)) < 0)
		return -1;
	if (request->settings_file && !request->undo && !request->cyrus)
		printf("%s is there, and stays as it is: of Dovecot's settings those about unique "
		       "ids are taken; -c NEW writes the others\n",
		       command_config(request->config_file));
	code = work_on_all(request, err);
	if (code < 0 || forget_lists(request, err) < 0)
		return -1;
	totals_print(request);
	if (fflush(stdout) != 0)
		return EX_IOERR;
	return code == EX_OK && request->totals->failed + request->people.failed ? EX_TEMPFAIL
										 : code;
}

int import_main(int argc, char **argv)
{
	struct import_request *request = calloc(1, sizeof(*request));
	struct err err = {0};
	int rc;

	if (!request)
		return EX_OSERR;
	rc = import_request_parse(argc, argv, request);
	if (rc != 0) {
		rc = rc < 0 ? import_usage(stderr, EX_USAGE) : import_usage(stdout, EX_OK);
	} else {
		rc = run(request, &err);
		cyrus_end(request);
		people_finish(&request->people);
	}
	import_request_finish(request);
	free(request);
	return rc < 0 ? command_failed("import", &err) : rc;
}

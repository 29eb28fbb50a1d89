/*
 * valija mbox: a look at an mbox as the store of mboxes sees it, and the end of a rewrite that was
 * cut off. Started as root it becomes the owner of the mailbox before it opens anything. See
 * valija-mbox(1).
 */
#include "cli/mbox.h"

#include "cli/become.h"
#include "cli/command.h"
#include "maildrop/mbox/mbox.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct request {
	bool recovers;
	const char *file, *state;
};

static int usage(FILE *out, int status)
{
	fputs("usage: valija mbox check [-s STATE] FILE\n"
	      "       valija mbox recover [-s STATE] FILE\n",
	      out);
	return status;
}

static void note(void *context, const char *text)
{
	(void)context;
	fprintf(stderr, "valija mbox: %s\n", text);
}

static void show(const struct request *request, const struct mbox_report *report)
{
	printf("%s: %llu messages, %llu octets\n", request->file,
	       (unsigned long long)report->messages, (unsigned long long)report->octets);
	if (report->deleted)
		printf("%llu of the messages in the file were deleted by their owner and are not "
		       "shown any more; the next session removes them\n",
		       (unsigned long long)report->deleted);
	if (report->carried_out)
		printf("a rewrite that had been cut off was finished\n");
	else if (report->aside)
		printf("a rewrite had been cut off, and could not be finished\n");
	else if (report->journal)
		printf("a rewrite was cut off: run `valija mbox recover %s`, or let its owner log "
		       "in\n",
		       request->file);
}

static int code_of(enum maildrop_status status, struct err *err)
{
	if (status == MAILDROP_ABSENT)
		return err_set(err, EX_NOINPUT, "it is not there");
	if (!err->code)
		err->code = EX_TEMPFAIL;
	return -1;
}

static int run_at(const struct request *request, int folder, int state, const char *name,
		  struct err *err)
{
	struct maildrop_settings settings = {
		.driver = &mbox_driver, .note = note, .state_fd = state};
	struct mbox_report report;
	enum maildrop_status status = (request->recovers ? mbox_recover : mbox_check)(
		&settings, folder, name, &report, err);

	if (status < 0)
		return code_of(status, err);
	show(request, &report);
	return 0;
}

static int run(const struct request *request, struct err *err)
{
	char folder_of[4096], name_of[4096];
	int folder, state = 0, rc;

	if ((size_t)snprintf(folder_of, sizeof(folder_of), "%s", request->file) >=
	    sizeof(folder_of))
		return err_set(err, EX_USAGE, "the name of the file is too long");
	memcpy(name_of, folder_of, sizeof(name_of));
	folder = open(dirname(folder_of), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return err_sys(err, EX_NOINPUT, errno, "cannot open the folder of %s",
			       request->file);
	if (request->state)
		state = open(request->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state < 0)
		rc = err_sys(err, EX_NOINPUT, errno, "cannot open the state folder %s",
			     request->state);
	else
		rc = run_at(request, folder, state, basename(name_of), err);
	if (state > 0)
		close(state);
	close(folder);
	return rc;
}

int mbox_main(int argc, char **argv)
{
	struct request request = {0};
	struct err err = {0};
	int option;

	while ((option = getopt(argc, argv, "+h")) != -1)
		return option == 'h' ? usage(stdout, EX_OK) : usage(stderr, EX_USAGE);
	if (optind == argc)
		return usage(stderr, EX_USAGE);
	request.recovers = strcmp(argv[optind], "recover") == 0;
	if (!request.recovers && strcmp(argv[optind], "check") != 0)
		return usage(stderr, EX_USAGE);
	optind++;
	while ((option = getopt(argc, argv, "+hs:")) != -1) {
		if (option != 's')
			return option == 'h' ? usage(stdout, EX_OK) : usage(stderr, EX_USAGE);
		request.state = optarg;
	}
	if (optind + 1 != argc)
		return usage(stderr, EX_USAGE);
	request.file = argv[optind];
	if (become_owner(request.file, &err) < 0 || run(&request, &err) < 0)
		return command_failed("mbox", &err);
	return EX_OK;
}

/* See request.h. */
#include "cli/import/request.h"

#include "base/text.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

int import_usage(FILE *out, int status)
{
	fputs("usage: valija import dovecot [-c CONF] [--config FILE] [--from DIR] [--user "
	      "NAME]...\n"
	      "                             [--dry-run]\n"
	      "       valija import dovecot --config FILE -c NEWCONF [--dry-run]\n"
	      "       valija import courier [-c CONF] [--from DIR] [--user NAME]... [--dry-run]\n"
	      "       valija import cyrus [-c CONF] [--config FILE] [--user NAME]... [--dry-run]\n"
	      "       valija import mbox --ids dovecot [-c CONF] [--config FILE] [--user NAME]...\n"
	      "                          [--dry-run]\n"
	      "       valija import mbox --ids mailutils|popa3d|qpopper [-c CONF] [--user "
	      "NAME]...\n"
	      "                          [--dry-run]\n"
	      "       valija import maildir --ids qmail [-c CONF] [--user NAME]... [--dry-run]\n"
	      "       valija import none [-c CONF] [--user NAME]... [--dry-run]\n"
	      "       valija import dovecot --undo [-c CONF] [--from DIR] [--user NAME]... "
	      "[--dry-run]\n"
	      "       valija import courier|cyrus|maildir|mbox|none --undo [-c CONF] [--user "
	      "NAME]... "
	      "[--dry-run]\n",
	      out);
	return status;
}

/* The server by its word; of mboxes and of Maildirs without a list it is that of --ids, which undo
 * does not need. */
static int find_server(struct import_request *request, const char *word)
{
	char name[32];
	unsigned i = 0;

	if (strcmp(word, "mbox") == 0 || strcmp(word, "maildir") == 0) {
		if (!request->ids && !request->undo)
			return -1;
		snprintf(name, sizeof(name), "%s-%s", word,
			 request->ids                ? request->ids
			 : strcmp(word, "mbox") == 0 ? "dovecot"
						     : "qmail");
		word = name;
	} else if (request->ids || strchr(word, '-')) {
		return -1;
	}
	while (i < ORIGIN_SERVERS && strcmp(mail_origin_names[i].word, word) != 0)
		i++;
	if (i == ORIGIN_SERVERS)
		return -1;
	request->origin.server = i;
	return 0;
}

/* Each server takes the options that mean something for it. */
static int take_server(struct import_request *request, const char *word)
{
	enum origin_server server;

	if (find_server(request, word) < 0)
		return -1;
	server = request->origin.server;
	if (request->settings_file && !mail_origin_has_format(server) && server != ORIGIN_CYRUS)
		return -1;
	return request->from && server != ORIGIN_DOVECOT && server != ORIGIN_COURIER ? -1 : 0;
}

int import_request_parse(int argc, char **argv, struct import_request *ret)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'C'}, {"from", required_argument, NULL, 'f'},
		{"ids", required_argument, NULL, 'i'},    {"user", required_argument, NULL, 'u'},
		{"dry-run", no_argument, NULL, 'n'},      {"undo", no_argument, NULL, 'U'},
		{"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "c:nh", options, NULL)) != -1) {
		if (c == 'c')
			ret->config_file = optarg;
		else if (c == 'C')
			ret->settings_file = optarg;
		else if (c == 'f')
			ret->from = optarg;
		else if (c == 'i')
			ret->ids = optarg;
		else if (c == 'n')
			ret->dry_run = true;
		else if (c == 'U')
			ret->undo = true;
		else if (c == 'h')
			return 1;
		else if (c == 'u')
			name_list_add(&ret->named, span_of(optarg));
		else
			return -1;
	}
	return optind + 1 == argc ? take_server(ret, argv[optind]) : -1;
}

void import_request_finish(struct import_request *request)
{
	name_list_finish(&request->named);
}

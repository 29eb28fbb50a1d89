/* See import.h. Finds and reads the other program's files, has them understood and carried over,
 * and says what a person has to do. Never copies a password. */
#include "fetch/import/import.h"

#include "base/descriptor.h"
#include "base/secret.h"
#include "base/text.h"
#include "fetch/account/password.h"
#include "fetch/import/carry.h"
#include "fetch/jobs.h"
#include "fetch/syscalls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

struct request {
	const char *program, *file, *config, *state;
	bool dry_run;
	const char *home;
};

static int complain(const struct err *err)
{
	char text[sizeof(err->text) * 2];

	fprintf(stderr, "valija fetch import: %s\n",
		report_harmless(err->text, text, sizeof(text)));
	return err->code ? err->code : EX_SOFTWARE;
}

/* ---- files ---- */

/* The whole file, to be freed by release(). */
static int read_file(const char *path, pop3_span *ret, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	ssize_t n;
	char *text;

	if (fd < 0 || fstat(fd, &st) < 0) {
		err_sys(err, EX_NOINPUT, errno, "cannot read %s", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > IMPORT_FILE_MAX) {
		close(fd);
		return err_set(err, EX_DATAERR, "%s is no file, or too large", path);
	}
	text = malloc((size_t)st.st_size + 1);
	n = text ? read_all(fd, text, (size_t)st.st_size) : -1;
	close(fd);
	if (n < 0) {
		free(text);
		return err_sys(err, EX_IOERR, errno, "cannot read %s", path);
	}
	*ret = (pop3_span){text, (size_t)n};
	return 0;
}

/* The text may hold passwords. */
static void release(pop3_span text)
{
	char *own;

	memcpy(&own, &text.data, sizeof(own));
	wipe(own, text.size);
	free(own);
}

static void below_home(const struct request *r, const char *path, char *ret, size_t size)
{
	if (strncmp(path, "~/", 2) == 0)
		snprintf(ret, size, "%s/%s", r->home, path + 2);
	else
		snprintf(ret, size, "%s", path);
}

/* The first of them that is there; ret is the last one otherwise. */
static void first_there(const struct request *r, const char *const *paths, char *ret, size_t size)
{
	for (; *paths; paths++) {
		below_home(r, *paths, ret, size);
		if (access(ret, F_OK) == 0)
			return;
	}
}

typedef void (*id_reader)(struct import *, struct import_account *, const char *, pop3_span);

/* A list of ids that is not there is said: without it all that is on the server comes again. */
static void read_ids(struct import *im, struct import_account *to, const char *path, id_reader read)
{
	struct err err = {0};
	pop3_span text;

	if (read_file(path, &text, &err) < 0) {
		import_say(im, "account %.80s: %s: what was collected is not known",
			   to->account.user, err.text);
		return;
	}
	read(im, to, path, text);
	release(text);
}

/* ---- each program ---- */

static void fetchids_once(struct import *im, struct import_account *to, const char *file,
			  pop3_span text)
{
	(void)to; /* the list is of all accounts */
	import_fetchids(im, file, text);
}

static int from_fetchmail(const struct request *r, struct import *im, const char *file,
			  pop3_span text)
{
	const char *home = getenv("FETCHMAILHOME");
	char path[FETCH_PATH_MAX];

	import_fetchmail(im, file, text);
	if (!im->count)
		return 0;
	if (im->accounts[0].ids_file[0])
		below_home(r, im->accounts[0].ids_file, path, sizeof(path));
	else
		snprintf(path, sizeof(path), "%.900s/%s", home ? home : r->home,
			 home ? "fetchids" : ".fetchids");
	read_ids(im, &im->accounts[0], path, fetchids_once);
	return 0;
}

/* %U, %H and %% */
static void mpop_path(const struct request *r, const struct import_account *a, char *ret,
		      size_t size)
{
	const char *from = a->ids_file[0] ? a->ids_file : "~/.mpop_uidls/%U_at_%H";
	char whole[FETCH_PATH_MAX];
	size_t used = 0;

	below_home(r, from, whole, sizeof(whole));
	ret[0] = '\0';
	for (const char *c = whole; *c && used + 1 < size; c++) {
		const char *put = NULL;

		if (*c == '%' && c[1] == 'U')
			put = a->account.user;
		else if (*c == '%' && c[1] == 'H')
			put = a->account.host;
		else if (*c == '%' && c[1] == '%')
			put = "%";
		c += put != NULL;
		used += (size_t)(put ? snprintf(ret + used, size - used, "%s", put)
				     : snprintf(ret + used, size - used, "%c", *c));
	}
}

static int from_mpop(const struct request *r, struct import *im, const char *file, pop3_span text)
{
	char path[FETCH_PATH_MAX];

	import_mpop(im, file, text);
	for (unsigned i = 0; i < im->count; i++) {
		if (im->accounts[i].skip)
			continue;
		mpop_path(r, &im->accounts[i], path, sizeof(path));
		read_ids(im, &im->accounts[i], path, import_mpop_uidls);
	}
	return 0;
}

/* In the rc file's folder; getmail puts "-" in the place of characters that some systems refuse. */
static int from_getmail(const struct request *r, struct import *im, const char *file,
			pop3_span text)
{
	const char *slash = strrchr(file, '/');
	char name[2 * FETCH_TEXT_MAX + 32], path[FETCH_PATH_MAX];
	const struct fetch_account *a;
	size_t used = 0;

	(void)r;
	import_getmail(im, file, text);
	if (!im->count || im->accounts[0].skip)
		return 0;
	a = &im->accounts[0].account;
	snprintf(name, sizeof(name), "oldmail-%s-%u-%s", a->host,
		 a->port                        ? a->port
		 : a->tls == FETCH_TLS_IMPLICIT ? 995u
						: 110u,
		 a->user);
	for (const char *c = name; *c; c++) {
		bool odd = strchr("/\\:;<>|", *c) != NULL;

		if (odd && used && strchr("/\\:;<>|", c[-1]))
			continue;
		name[used++] = odd ? '-' : *c;
	}
	name[used] = '\0';
	snprintf(path, sizeof(path), "%.*s%.600s", slash ? (int)(slash - file) + 1 : 0, file, name);
	read_ids(im, &im->accounts[0], path, import_oldmail);
	return 0;
}

static int from_thunderbird(const struct request *r, struct import *im, const char *file,
			    pop3_span text)
{
	const char *slash = strrchr(file, '/');
	char folder[FETCH_PATH_MAX];

	(void)r;
	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - file) : 1,
		 slash ? file : ".");
	import_prefs(im, file, folder, text);
	for (unsigned i = 0; i < im->count; i++)
		if (im->accounts[i].ids_file[0])
			read_ids(im, &im->accounts[i], im->accounts[i].ids_file, import_popstate);
	return 0;
}

/* ~/.thunderbird/profiles.ini names the profile. */
static int default_profile(const struct request *r, char *ret, size_t size, struct err *err)
{
	char ini[FETCH_PATH_MAX], profile[FETCH_PATH_MAX];
	pop3_span text;
	int rc;

	below_home(r, "~/.thunderbird/profiles.ini", ini, sizeof(ini));
	if (read_file(ini, &text, err) < 0)
		return -1;
	rc = import_profile(text, profile, sizeof(profile));
	release(text);
	if (rc < 0)
		return err_set(err, EX_NOINPUT, "%.200s names no profile: give its prefs.js", ini);
	snprintf(ret, size,
		 profile[0] == '/' ? "%s%.500s/prefs.js" : "%s/.thunderbird/%.500s/prefs.js",
		 profile[0] == '/' ? "" : r->home, profile);
	return 0;
}

static const struct program {
	const char *name, *files[3], *in_folder;
	int (*read)(const struct request *, struct import *, const char *, pop3_span);
} programs[] = {
	{"fetchmail", {"~/.fetchmailrc"}, "fetchmailrc", from_fetchmail},
	{"mpop", {"~/.mpoprc", "~/.config/mpop/config"}, "config", from_mpop},
	{"getmail",
	 {"~/.config/getmail/getmailrc", "~/.getmail/getmailrc"},
	 "getmailrc",
	 from_getmail},
	{"thunderbird", {NULL}, "prefs.js", from_thunderbird},
};

static int find_file(const struct request *r, const struct program *program, char *ret, size_t size,
		     struct err *err)
{
	struct stat st;

	if (r->file && stat(r->file, &st) == 0 && S_ISDIR(st.st_mode))
		snprintf(ret, size, "%s/%s", r->file, program->in_folder);
	else if (r->file)
		snprintf(ret, size, "%s", r->file);
	else if (program->files[0])
		first_there(r, program->files, ret, size);
	else
		return default_profile(r, ret, size, err);
	return 0;
}

/* ---- what a person has to know ---- */

static bool in_netrc(const struct request *r, const struct fetch_account *a)
{
	struct secret secret;
	char path[FETCH_PATH_MAX];
	struct err err;
	pop3_span text;
	int found;

	below_home(r, "~/.netrc", path, sizeof(path));
	if (read_file(path, &text, &err) < 0)
		return false;
	secret_init(&secret);
	found = fetch_netrc(text, span_of(a->host), span_of(a->user), &secret);
	secret_finish(&secret);
	release(text);
	return found == 1;
}

static void say_secret(const struct request *r, const struct import_account *account,
		       const char *config)
{
	const struct fetch_account *a = &account->account;
	char file[FETCH_PATH_MAX];

	if (a->password_source == FETCH_PASSWORD_COMMAND || strcmp(a->auth, "EXTERNAL") == 0)
		return;
	if (account->secret_at[0] && carry_password_file(config, a->name, file, sizeof(file)) == 0)
		printf("  its password stands in %s and is not copied. Type it into:\n"
		       "    (umask 077; cat >'%s')\n",
		       account->secret_at, file);
	else if (!in_netrc(r, a))
		printf("  its password is not in ~/.netrc: put it there, or write "
		       "password-command, such as\n"
		       "    secret-tool lookup host %s service pop3 user %s\n",
		       a->host, a->user);
}

static void say_account(const struct request *r, const struct carry *c, unsigned index)
{
	const struct import_account *account = &c->im->accounts[index];
	const struct fetch_account *to = c->accounts[index];
	bool new = to &&strcmp(to->name, account->account.name) == 0;

	if (account->skip || !to)
		return;
	printf("%s: %s at %s, %u messages that %s has collected are known%s\n", to->name, to->user,
	       to->host, c->known[index], r->program,
	       new ? "" : " (the account was there already, and stays as it is)");
	if (new && !account->place)
		printf("  its mail goes to ~/Maildir: change \"to\" if it shall go elsewhere\n");
	if (new && to->policy == FETCH_DELETE && c->known[index])
		printf("  policy = \"delete\" is for new mail: what %s has collected and left "
		       "there stays\n",
		       r->program);
	if (new && !r->dry_run)
		say_secret(r, account, c->config);
}

/* ---- the whole ---- */

static int check_found(const struct request *r, struct import *im, const char *file,
		       struct err *err)
{
	unsigned good = 0;

	for (unsigned i = 0; i < im->count; i++) {
		struct import_account *a = &im->accounts[i];

		if (!a->skip && (!a->account.host[0] || !a->account.user[0])) {
			import_say(im, "%.300s: an account without host or user is left out", file);
			a->skip = true;
		}
		good += !a->skip;
	}
	if (im->failed)
		return err_set(err, EX_DATAERR, "%s has more than can be taken over", file);
	if (!good)
		return err_set(err, EX_DATAERR, "%s has no POP3 account of %s", file, r->program);
	return 0;
}

/* The plan of a run of each account, which is what would be downloaded. */
static int try_out(const struct carry *c, const char *state)
{
	struct fetch_options options = {.dry_run = true, .state = state};
	const struct fetch_account **list = calloc(c->im->count + 1, sizeof(*list));
	unsigned count = 0;
	int code;

	if (!list)
		return EX_OSERR;
	for (unsigned i = 0; i < c->im->count; i++)
		if (c->accounts[i])
			list[count++] = c->accounts[i];
	code = fetch_jobs(list, count, 1, &options);
	free(list);
	return code;
}

static int carry_and_say(const struct request *r, struct import *im, const char *config,
			 const char *state, struct err *err)
{
	struct carry carry = {.im = im,
			      .program = r->program,
			      .config = config,
			      .state = state,
			      .ask = r->dry_run};
	int code = EX_OK;

	if (carry_over(&carry, err) < 0) {
		carry_finish(&carry);
		return complain(err);
	}
	for (unsigned i = 0; i < im->count; i++)
		say_account(r, &carry, i);
	fflush(stdout);
	if (r->dry_run)
		code = try_out(&carry, state);
	carry_finish(&carry);
	return code;
}

static void remove_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(path);
}

/* In a folder that goes again, so that nothing of the user's is changed. */
static int rehearse(const struct request *r, struct import *im, struct err *err)
{
	const char *tmp = getenv("TMPDIR");
	char folder[FETCH_PATH_MAX], config[FETCH_PATH_MAX + 16], state[FETCH_PATH_MAX + 16];
	int code;

	snprintf(folder, sizeof(folder), "%.900s/valija-import-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(folder))
		return complain((err_sys(err, EX_CANTCREAT, errno, "cannot make %s", folder), err));
	snprintf(config, sizeof(config), "%s/fetch.conf", folder);
	snprintf(state, sizeof(state), "%s/state", folder);
	code = carry_and_say(r, im, config, state, err);
	remove_folder(state);
	remove_folder(folder);
	printf("nothing was changed (--dry-run)\n");
	return code;
}

/* Whole: the paths of passwords are made of it, and a timer starts in another folder. */
static int config_place(const struct request *r, char *buf, size_t size, struct err *err)
{
	char folder[FETCH_PATH_MAX] = "";
	const char *given = r->config;

	if (!given)
		return fetch_config_place(buf, size, err);
	if (given[0] != '/' && !getcwd(folder, sizeof(folder)))
		return err_sys(err, EX_NOINPUT, errno, "cannot find this folder");
	if (snprintf(buf, size, "%s%s%s", folder, folder[0] ? "/" : "", given) >= (int)size)
		return err_set(err, EX_USAGE, "the configuration file's name is too long");
	return 0;
}

static int import(const struct request *r, const struct program *program, struct err *err)
{
	char file[FETCH_PATH_MAX], config[FETCH_PATH_MAX];
	struct import im = {0};
	pop3_span text;
	int code;

	if (find_file(r, program, file, sizeof(file), err) < 0 || read_file(file, &text, err) < 0 ||
	    config_place(r, config, sizeof(config), err) < 0)
		return complain(err);
	program->read(r, &im, file, text);
	release(text);
	code = check_found(r, &im, file, err) < 0 ? complain(err) : EX_OK;
	if (im.remarks_size)
		fputs(im.remarks, stderr);
	if (code == EX_OK)
		code = r->dry_run ? rehearse(r, &im, err)
				  : carry_and_say(r, &im, config, r->state, err);
	import_finish(&im);
	return code;
}

static int usage(FILE *out)
{
	fputs("usage: valija fetch import fetchmail|mpop|getmail|thunderbird [FILE]\n"
	      "           [--dry-run] [-c FILE] [--state DIR]\n",
	      out);
	return out == stdout ? EX_OK : EX_USAGE;
}

int fetch_import(int argc, char **argv)
{
	static const struct option long_options[] = {{"config", required_argument, NULL, 'c'},
						     {"state", required_argument, NULL, 's'},
						     {"dry-run", no_argument, NULL, 'n'},
						     {"help", no_argument, NULL, 'h'},
						     {NULL, 0, NULL, 0}};
	struct request request = {.home = getenv("HOME")};
	struct err err = {0};
	int option;

	optind = 0;
	while ((option = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1) {
		if (option == 'c')
			request.config = optarg;
		else if (option == 's')
			request.state = optarg;
		else if (option == 'n')
			request.dry_run = true;
		else
			return usage(option == 'h' ? stdout : stderr);
	}
	if (argc - optind < 1 || argc - optind > 2)
		return usage(stderr);
	request.program = argv[optind];
	request.file = argv[optind + 1];
	if (!request.home || request.home[0] != '/')
		return complain((err_set(&err, EX_CONFIG, "$HOME is not set"), &err));
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		if (strcmp(programs[i].name, request.program) == 0)
			return import(&request, &programs[i], &err);
	fprintf(stderr, "valija fetch import: \"%.40s\" is none of the programs that are known\n",
		request.program);
	return usage(stderr);
}

/* The result on the disk: valija.conf, files of secrets beside it, the users file. Nothing that is
 * there is written over. */
#include "cli/import/settings/settings.h"

#include "base/descriptor.h"
#include "base/text.h"
#include "config/config.h"
#include "config/path.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { FILE_OCTETS_MAX = 16 << 20 };

/* Of files that settings name; those that are not where they are named may lie beside the text. */
struct reader {
	const char *folder;
};

static char *read_whole(const char *path, size_t *ret_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	char *text = NULL;
	ssize_t size = -1;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < FILE_OCTETS_MAX)
		text = calloc(1, (size_t)st.st_size + 1);
	if (text)
		size = read_all(fd, text, (size_t)st.st_size);
	close(fd);
	if (size < 0) {
		free(text);
		return NULL;
	}
	*ret_size = (size_t)size;
	return text;
}

static char *read_file(void *context, const char *path, size_t *ret_size)
{
	const struct reader *reader = context;
	const char *name = strrchr(path, '/');
	char beside[CONFIG_PATH_MAX * 2];
	char *text = read_whole(path, ret_size);

	if (text || !reader->folder)
		return text;
	snprintf(beside, sizeof(beside), "%s/%s", reader->folder, name ? name + 1 : path);
	return read_whole(beside, ret_size);
}

/* ---- what is shown ---- */

static void print_notes(const struct settings *settings)
{
	static const char *const words[] = {
		[SETTINGS_KEPT] = "nothing is lost", [SETTINGS_TO_DO] = "to do"};

	for (size_t i = 0; i < settings->note_count; i++) {
		const struct settings_note *one = &settings->notes[i];

		if (one->line)
			printf("%s:%u: %s: %s: %s\n", one->file, one->line, one->setting,
			       words[one->kind], one->text);
		else
			printf("%s: %s: %s: %s\n", one->file, one->setting, words[one->kind],
			       one->text);
	}
}

static void print_next(const struct settings *settings, const char *name, const char *config_file)
{
	printf("\nNext, when what is to do is done:\n\n");
	if (settings->folder)
		printf("    valija mark %s%s\n", settings->mboxes ? "--store mbox " : "",
		       settings->folder);
	printf("    valijad -t -c %s\n", config_file);
	printf("    valija import %s -c %s --config %s --dry-run\n",
	       settings->mboxes ? "mbox --ids dovecot" : "dovecot", config_file, name);
}

/* ---- what is written ---- */

/* Files that were made, to be taken away when a later one cannot be. */
struct written {
	int folder;
	const char *names[70];
	size_t count;
};

static int write_file(struct written *written, const char *name, const char *text, size_t size,
		      mode_t mode, struct err *err)
{
	int fd = openat(written->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode),
	    rc = 0;

	if (fd < 0)
		return err_sys(err, EX_CANTCREAT, errno, "%s", name);
	if (written->count < sizeof(written->names) / sizeof(*written->names))
		written->names[written->count++] = name;
	if (fchmod(fd, mode) < 0 || write_all(fd, text, size) < 0 || fsync(fd) < 0)
		rc = err_sys(err, EX_IOERR, errno, "%s", name);
	close(fd);
	return rc;
}

/* An empty one beside valija.conf, for users who are added later; one that is there is taken. */
static int write_users(struct written *written, struct err *err)
{
	const struct group *group = geteuid() == 0 ? getgrnam("valija-auth") : NULL;

	if (faccessat(written->folder, "users", F_OK, 0) == 0)
		return 0;
	if (write_file(written, "users", "", 0, 0640, err) < 0)
		return -1;
	if (group && fchownat(written->folder, "users", 0, group->gr_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, EX_IOERR, errno, "users");
	return 0;
}

static int write_result(const struct settings *settings, const char *config_file, struct err *err)
{
	struct written written = {.folder = -1};
	int rc = config_open_parent(config_file, &written.folder, err);

	for (size_t i = 0; rc == 0 && i < settings->secret_count; i++)
		rc = write_file(&written, settings->secrets[i].name, settings->secrets[i].text,
				strlen(settings->secrets[i].text), 0600, err);
	if (rc == 0 && settings->own_users)
		rc = write_users(&written, err);
	if (rc == 0)
		rc = write_file(&written, config_file_name(config_file), settings->text,
				settings->size, 0644, err);
	while (rc < 0 && written.count)
		unlinkat(written.folder, written.names[--written.count], 0);
	close_fd(&written.folder);
	return rc < 0 ? err_prefix(err, "beside %s; nothing was written", config_file) : 0;
}

/* Settings that Valija would refuse are found before a file is there. */
static int check(const struct settings *settings, const char *config_file, struct err *err)
{
	struct config *config = malloc(sizeof(*config));
	char path[CONFIG_PATH_MAX];
	int rc = config ? 0 : err_set(err, EX_OSERR, "out of memory");

	if (rc == 0 && *config_file == '/')
		snprintf(path, sizeof(path), "%s", config_file);
	else if (rc == 0)
		snprintf(path, sizeof(path), "/%s", config_file);
	if (rc == 0)
		rc = config_parse((pop3_span){settings->text, settings->size}, path, config, err);
	free(config);
	return rc;
}

static int bring(struct settings *settings, const char *name, const char *config_file, bool dry_run,
		 struct err *err)
{
	struct err wrong = {0};

	print_notes(settings);
	if (dry_run) {
		printf("\n%s would be:\n\n", config_file);
		fwrite(settings->text, 1, settings->size, stdout);
		for (size_t i = 0; i < settings->secret_count; i++)
			printf("\n%s would be beside it, with mode 0600\n",
			       settings->secrets[i].name);
	} else if (write_result(settings, config_file, err) < 0) {
		return -1;
	} else {
		printf("\n%s was written.\n", config_file);
	}
	if (check(settings, config_file, &wrong) < 0)
		printf("Not yet right: %s\n", wrong.text);
	print_next(settings, name, config_file);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

int settings_bring(const char *name, const char *config_file, bool dry_run, struct err *err)
{
	const char *slash = strrchr(name, '/');
	char folder[CONFIG_PATH_MAX];
	struct reader reader = {.folder = folder};
	struct settings_source source = {.name = strcmp(name, "-") == 0 ? "standard input" : name,
					 .read = read_file,
					 .context = &reader};
	struct dovecot_conf conf;
	struct settings settings = {0};
	int rc;

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - name) : 1,
		 slash ? name : ".");
	rc = dovecot_conf_read(name, &conf, err);
	if (rc == 0)
		rc = settings_translate(&conf, &source, &settings, err);
	if (rc == 0)
		rc = bring(&settings, name, config_file, dry_run, err);
	settings_finish(&settings);
	dovecot_conf_finish(&conf);
	return rc;
}

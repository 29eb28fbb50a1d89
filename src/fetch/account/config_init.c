/* `valija fetch --init`: writes the first configuration file, with comments; for fetch.c, with the
 * rights of the user. */
#include "fetch/account/config_file.h"

#include "fetch/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static const char text[] =
	"# valija-fetch.conf: accounts that `valija fetch` collects. All settings and their\n"
	"# defaults: man valija-fetch.conf. Try a change with: valija fetch --dry-run\n"
	"\n"
	"# How many accounts at once.\n"
	"#jobs = 1\n"
	"\n"
	"account \"home\" {\n"
	"	# pop3s:// is TLS from the first octet (port 995), pop3:// is STLS (port 110).\n"
	"	# Certificates are always verified.\n"
	"	server = \"pop3s://you@mail.example.org\"\n"
	"\n"
	"	# Where the mail goes: maildir:DIR, mbox:FILE, command:WORDS (an MDA, the message "
	"on\n"
	"	# its standard input) or lmtp:HOST:PORT.\n"
	"	to = \"maildir:~/Maildir\"\n"
	"\n"
	"	# What becomes of it on the server: keep, delete, \"keep-days 30\",\n"
	"	# \"keep-newest 500\" or follow (delete there what you remove from the Maildir).\n"
	"	policy = \"keep\"\n"
	"\n"
	"	# Where the password is: one of these; none: ~/.netrc, then the terminal is "
	"asked.\n"
	"	#password-command = \"pass show mail/home\"\n"
	"	#password-file = \"~/.config/valija/home.password\"\n"
	"	# Tokens of a large provider in its place: valija fetch setup, man "
	"valija-fetch-setup.\n"
	"\n"
	"	# Of larger messages only the headers; whole with: valija fetch home --whole all\n"
	"	#max-size = \"20M\"\n"
	"\n"
	"	# A server with a certificate of its own: its authority, or the pinned key.\n"
	"	#ca = \"~/.config/valija/home.pem\"\n"
	"	#pin = {\"sha256//...\"}\n"
	"}\n";

int fetch_config_folder(const char *file, struct err *err)
{
	char path[FETCH_PATH_MAX];

	if (snprintf(path, sizeof(path), "%s", file) >= (int)sizeof(path))
		return err_set(err, EX_USAGE, "the file's name is too long");
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return err_sys(err, EX_CANTCREAT, errno, "cannot make %s", path);
		*slash = '/';
	}
	return 0;
}

int fetch_config_init(const char *file, struct err *err)
{
	int fd;

	if (fetch_config_folder(file, err) < 0)
		return -1;
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, EX_CANTCREAT, errno, "cannot make %s", file);
	if (fetch_write_all(&fetch_files_real, fd, text, sizeof(text) - 1) < 0 || fsync(fd) < 0 ||
	    fetch_flush_parent(&fetch_files_real, file) < 0) {
		err_sys(err, EX_IOERR, errno, "cannot write %s", file);
		unlink(file); /* the next try finds no half of a file */
		close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

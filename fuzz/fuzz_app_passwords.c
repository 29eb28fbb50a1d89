/*
 * A file of app passwords of any octets: each line is parsed, what is an entry is printed and comes
 * back the same; then the whole file is opened. A line that the parser lets through holds what
 * app_password.h says, a file that is refused says why, and nothing that strangers type is right.
 */
#include "users/app_passwords.h"

#include "base/text.h"
#include "users/networks.h"
#include "users/passwd_line.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/fuzz-app-XXXXXX";
static int dir_fd = -1;

static void check(bool good)
{
	if (!good)
		abort();
}

static void try_line(pop3_span line)
{
	struct app_password app = {0}, again = {0};
	unsigned char key[APP_KEY];
	char buf[APP_LINE_MAX], letters[APP_LETTERS];
	struct err err = {0};
	size_t n;

	(void)app_password_form(line, letters);
	switch (app_line_parse(line, key, &app, &err)) {
	case APP_LINE_ENTRY:
		check(user_name_valid(span_of(app.name)) && app_label_valid(span_of(app.label)));
		check(!app.networks[0] || networks_valid(span_of(app.networks)));
		n = app_line_print(&app, buf);
		check(n < APP_LINE_MAX && buf[n - 1] == '\n' && !memchr(buf, '\n', n - 1));
		check(app_line_parse((pop3_span){buf, n - 1}, key, &again, &err) == APP_LINE_ENTRY);
		check(memcmp(&app, &again, sizeof(app)) == 0);
		break;
	case APP_LINE_BAD:
		check(err.text[0]);
		break;
	case APP_LINE_KEY:
	case APP_LINE_EMPTY:
		break;
	}
}

static void remove_folder(void)
{
	unlinkat(dir_fd, APP_PASSWORDS_FILE, 0);
	rmdir(folder);
}

static void try_file(const uint8_t *data, size_t size)
{
	struct app_passwords *apps;
	struct app_password app;
	struct err err = {0};
	int fd;

	if (dir_fd < 0) {
		check(mkdtemp(folder) != NULL);
		dir_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
		atexit(remove_folder);
	}
	fd = openat(dir_fd, APP_PASSWORDS_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
	if (app_passwords_open(dir_fd, &apps, &err) < 0) {
		check(err.text[0]);
		return;
	}
	(void)app_passwords_any(apps);
	check(!app_passwords_match(apps, SPAN_LITERAL("anna"),
				   SPAN_LITERAL("abcd-efgh-ijkl-mnop-qrst-uvwx-yz23"), &app));
	app_passwords_close(apps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	pop3_span text = {(const char *)data, size}, line;
	bool ended;

	while (passwd_line_next(&text, &line, &ended))
		try_line(line);
	try_file(data, size);
	return 0;
}

/* The service manager's protocol: what is sent, where to, and when nothing is. */
#include "sys/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A manager's socket; name as it stands in the environment. */
static int listen_at(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, name, strlen(name));
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static void expect(int fd, const char *wanted)
{
	char got[256];
	ssize_t n = recv(fd, got, sizeof(got) - 1, 0);

	assert_true(n >= 0);
	got[n] = '\0';
	assert_string_equal(got, wanted);
}

static void test_a_name_without_a_file(void **state)
{
	char name[64];
	int fd;

	(void)state;
	snprintf(name, sizeof(name), "@valija-test-notify-%d", (int)getpid());
	fd = listen_at(name);
	assert_int_equal(notify_send("READY=1\nSTATUS=Serving"), 0);
	expect(fd, "READY=1\nSTATUS=Serving");
	close(fd);
	assert_int_equal(notify_send("READY=1"), -1); /* nobody is there any more */
	assert_int_equal(errno, ECONNREFUSED);
}

static void test_a_path(void **state)
{
	char folder[] = "/tmp/valija-notify-XXXXXX", name[64];
	int fd;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(name, sizeof(name), "%s/s", folder);
	fd = listen_at(name);
	assert_int_equal(notify_send("WATCHDOG=1"), 0);
	expect(fd, "WATCHDOG=1");
	close(fd);
	unlink(name);
	assert_int_equal(notify_send("WATCHDOG=1"), -1);
	assert_int_equal(errno, ENOENT);
	rmdir(folder);
}

static void test_a_reload_carries_the_time(void **state)
{
	char name[64], got[128] = "";
	unsigned long long first, second;
	int fd;

	(void)state;
	snprintf(name, sizeof(name), "@valija-test-reload-%d", (int)getpid());
	fd = listen_at(name);
	assert_int_equal(notify_reloading(), 0);
	assert_int_equal(notify_reloading(), 0);
	assert_true(recv(fd, got, sizeof(got) - 1, 0) > 0);
	assert_int_equal(sscanf(got, "RELOADING=1\nMONOTONIC_USEC=%llu", &first), 1);
	memset(got, 0, sizeof(got));
	assert_true(recv(fd, got, sizeof(got) - 1, 0) > 0);
	assert_int_equal(sscanf(got, "RELOADING=1\nMONOTONIC_USEC=%llu", &second), 1);
	assert_true(first > 0 && second >= first);
	close(fd);
}

static void test_without_a_manager(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_send("READY=1"), 1);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(notify_send("READY=1"), 1);
}

static void test_names_that_are_none(void **state)
{
	static const char *const names[] = {"relative/path", "/", "@", "vsock:2:1234"};
	char longest[200];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		setenv("NOTIFY_SOCKET", names[i], 1);
		assert_int_equal(notify_send("READY=1"), -1);
	}
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[108] = '\0'; /* sun_path has 108 octets, and wants its NUL */
	setenv("NOTIFY_SOCKET", longest, 1);
	assert_int_equal(notify_send("READY=1"), -1);
	assert_int_equal(errno, EINVAL);
	longest[107] = '\0'; /* as long as can be: there is no such file */
	setenv("NOTIFY_SOCKET", longest, 1);
	assert_int_equal(notify_send("READY=1"), -1);
	assert_int_equal(errno, ENOENT);
	unsetenv("NOTIFY_SOCKET");
}

static void test_the_watchdog(void **state)
{
	static const char *const bad[] = {"", "0", "x", "12x", "-5", "999999999999999999999999"};
	char pid[32];

	(void)state;
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	assert_int_equal(notify_watchdog_ms(), 0);
	setenv("WATCHDOG_USEC", "60000000", 1);
	assert_int_equal(notify_watchdog_ms(), 60000);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_watchdog_ms(), 60000);
	snprintf(pid, sizeof(pid), "%d", (int)getppid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_watchdog_ms(), 0);
	unsetenv("WATCHDOG_PID");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv("WATCHDOG_USEC", bad[i], 1);
		assert_int_equal(notify_watchdog_ms(), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_name_without_a_file),
		cmocka_unit_test(test_a_path),
		cmocka_unit_test(test_a_reload_carries_the_time),
		cmocka_unit_test(test_without_a_manager),
		cmocka_unit_test(test_names_that_are_none),
		cmocka_unit_test(test_the_watchdog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

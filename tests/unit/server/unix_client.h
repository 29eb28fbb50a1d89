/* Clients of a role at a Unix socket: what they send, and what they get. For role_test.h, behind
 * it; header only. */
#ifndef TESTS_UNIX_CLIENT_H
#define TESTS_UNIX_CLIENT_H

static inline void say_octets(int fd, const void *data, size_t size)
{
	assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

static inline void say(int fd, const char *text)
{
	say_octets(fd, text, strlen(text));
}

/* What comes until text ends so; what there was, without that end, where the connection ends. */
static inline const char *read_until(int fd, const char *end)
{
	static char text[65536];
	size_t used = 0;

	text[0] = '\0';
	for (;;) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};

		assert_true(used < sizeof(text) - 1);
		if (poll(&wait, 1, ROLE_PATIENCE_MS) != 1)
			fail_msg("no \"%s\" behind \"%s\"", end, text);
		if (recv(fd, text + used, 1, 0) <= 0)
			break;
		text[++used] = '\0';
		if (used >= strlen(end) && strcmp(text + used - strlen(end), end) == 0)
			break;
	}
	text[used] = '\0';
	return text;
}

/* These octets come next, and no other. */
static inline void expect(int fd, const char *wanted)
{
	assert_string_equal(read_until(fd, wanted), wanted);
}

static inline void expect_end(int fd)
{
	assert_string_equal(read_until(fd, "no such octets"), "");
}

/* Nothing is said to this one, for all that was sent before. */
static inline void expect_nothing(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	role_ping();
	assert_int_equal(poll(&wait, 1, 0), 0);
}

#endif

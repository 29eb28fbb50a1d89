/* See top_screen.h. Plain sequences that every terminal of today has (ECMA-48). */
#include "cli/top_screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum {
	WIDTH = 80,
	HEIGHT = 24,
	PICTURE_MAX = 64 * 1024,
	LINE_MAX_OCTETS = 512,
	KEY_MS = 50, /* between the octets of an arrow key */
};

static struct {
	struct termios before;
	bool entered;
	char picture[PICTURE_MAX];
	size_t size;
} screen;

static volatile sig_atomic_t ended;

static void note_end(int number)
{
	(void)number;
	ended = 1;
}

bool screen_is_one(void)
{
	const char *term = getenv("TERM");

	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
}

static struct winsize extent(void)
{
	struct winsize size = {0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_col || !size.ws_row)
		size = (struct winsize){.ws_col = WIDTH, .ws_row = HEIGHT};
	return size;
}

unsigned screen_height(void)
{
	return extent().ws_row;
}

static void put(const char *text, size_t size)
{
	if (size > sizeof(screen.picture) - screen.size)
		size = sizeof(screen.picture) - screen.size;
	memcpy(screen.picture + screen.size, text, size);
	screen.size += size;
}

static void send_now(const char *text)
{
	(void)!write(STDOUT_FILENO, text, strlen(text));
}

void screen_enter(void)
{
	struct sigaction action = {.sa_handler = note_end};
	struct termios now;

	if (!screen_is_one() || tcgetattr(STDIN_FILENO, &screen.before) < 0)
		return;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	now = screen.before;
	now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	now.c_cc[VMIN] = 1;
	now.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &now);
	send_now("\033[?1049h\033[?25l");
	screen.entered = true;
}

void screen_leave(void)
{
	if (!screen.entered)
		return;
	send_now("\033[?25h\033[?1049l");
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &screen.before);
	screen.entered = false;
}

void screen_begin(void)
{
	screen.size = 0;
	if (screen.entered)
		put("\033[H", 3);
}

void screen_line(const char *format, ...)
{
	char line[LINE_MAX_OCTETS];
	size_t width = extent().ws_col, size;
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	size = strlen(line);
	put(line, size < width ? size : width);
	if (screen.entered)
		put("\033[K", 3);
	put("\n", 1);
}

/* Without the last line end: a full screen would scroll. */
void screen_end(void)
{
	size_t at = 0;

	if (screen.entered) {
		screen.size--;
		put("\033[J", 3);
	}
	while (at < screen.size) {
		ssize_t n = write(STDOUT_FILENO, screen.picture + at, screen.size - at);

		if (n <= 0 && errno != EINTR)
			break;
		at += n > 0 ? (size_t)n : 0;
	}
}

/* 0: none came; -1: none will. */
static int octet(int ms)
{
	struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN};
	unsigned char c;

	if (poll(&wait, 1, ms) <= 0)
		return 0;
	return read(STDIN_FILENO, &c, 1) == 1 ? c : -1;
}

int screen_key(int ms)
{
	int key = octet(ms);

	if (ended || key < 0)
		return SCREEN_END;
	if (key != '\033')
		return key;
	if (octet(KEY_MS) != '[')
		return 0;
	switch (octet(KEY_MS)) {
	case 'B': /* down, right, page down */
	case 'C':
	case '6':
		return SCREEN_NEXT;
	case 'A':
	case 'D':
	case '5':
		return SCREEN_BACK;
	default:
		return 0;
	}
}

bool screen_ask(const char *question, char *buf, size_t size)
{
	struct termios raw;
	bool given;

	if (!screen.entered || tcgetattr(STDIN_FILENO, &raw) < 0)
		return false;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &screen.before);
	send_now("\r\033[K\033[?25h");
	send_now(question);
	given = fgets(buf, (int)size, stdin) != NULL;
	if (given)
		buf[strcspn(buf, "\n")] = '\0';
	send_now("\033[?25l");
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	return given && *buf && *buf != '-';
}

void screen_pause(void)
{
	char line[8];

	ended = 0; /* Ctrl-C was meant for the other program */
	send_now("-- Enter goes back --");
	(void)!fgets(line, sizeof(line), stdin);
}

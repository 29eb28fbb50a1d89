/* See words.h. UTF-8; clients that did not ask for a language get ASCII. */
#include "server/front/words.h"

#include "server/record.h"

#include <stdio.h>
#include <time.h>

const char *words_bye(enum pop3_language language)
{
	switch (language) {
	case POP3_ENGLISH:
	case POP3_LANGUAGE_COUNT:
		break;
	case POP3_SPANISH:
		return "adiós";
	}
	return "bye";
}

/* A time of day, or "": it cannot be written. */
static void write_day(uint64_t seconds, char *buf, size_t size)
{
	time_t since = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&since, &tm) || !strftime(buf, size, "%Y-%m-%d %H:%M UTC", &tm))
		buf[0] = '\0';
}

void words_in_use(enum pop3_language language, const struct ipc_open_in_use *message, char *buf,
		  size_t size)
{
	unsigned long long seconds = message->idle / 1000;
	bool minutes = seconds >= 120;
	char day[40], address[64];

	write_day(message->since, day, sizeof(day));
	record_address(message->address, address);
	seconds = minutes ? seconds / 60 : seconds;
	switch (language) {
	case POP3_ENGLISH:
	case POP3_LANGUAGE_COUNT:
		snprintf(buf, size,
			 "another session has this maildrop open since %s, from %s, idle for "
			 "%llu %s",
			 day[0] ? day : "an unknown time", address, seconds,
			 minutes ? "minutes" : "seconds");
		break;
	case POP3_SPANISH:
		snprintf(buf, size,
			 "otra sesión tiene abierto este buzón desde %s, desde la dirección %s, "
			 "inactiva desde hace %llu %s",
			 day[0] ? day : "un momento desconocido", address, seconds,
			 minutes ? "minutos" : "segundos");
		break;
	}
}

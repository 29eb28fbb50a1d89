/* See idn.h. The only file that knows libidn2; without it such a name is refused with the way out.
 */
#include "fetch/account/idn.h"

#include "build-config.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#ifdef HAVE_IDN2
#include <idn2.h>

static int convert(const char *host, char *buf, size_t size, struct err *err)
{
	char *name = NULL;
	int rc = idn2_to_ascii_8z(host, &name, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL), n;

	if (rc != IDN2_OK)
		return err_set(err, EX_USAGE, "%.100s is no host name: %s", host,
			       idn2_strerror(rc));
	n = snprintf(buf, size, "%s", name);
	idn2_free(name);
	return n < (int)size ? 0 : err_set(err, EX_USAGE, "the host name %.100s is too long", host);
}
#else
static int convert(const char *host, char *buf, size_t size, struct err *err)
{
	(void)buf, (void)size;
	return err_set(err, EX_UNAVAILABLE,
		       "this build has no libidn2: write %.100s as DNS has it, xn--...", host);
}
#endif

int fetch_host_to_ascii(const char *host, char *buf, size_t size, struct err *err)
{
	for (const char *c = host; *c; c++)
		if ((unsigned char)*c >= 0x80)
			return convert(host, buf, size, err);
	if (strlen(host) >= size)
		return err_set(err, EX_USAGE, "the host name %.100s is too long", host);
	memmove(buf, host, strlen(host) + 1);
	return 0;
}

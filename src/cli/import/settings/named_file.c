/* See translation.h. Such a file has passwords: its text is wiped. */
#include "cli/import/settings/translation.h"

#include "base/secret.h"

#include <stdlib.h>

void translate_named_file(struct translation *t, const char *file,
			  void (*work)(struct translation *inner, void *context), void *context)
{
	struct translation inner = *t;
	struct dovecot_conf conf = {0};
	struct err err = {0};
	size_t size = 0;
	char *text = t->source->read(t->source->context, file, &size);

	if (!text || dovecot_conf_parse((pop3_span){text, size}, file, &conf, &err) < 0) {
		note_nowhere(
			t, file, SETTINGS_TO_DO,
			"it is not there or not understood (%.200s): copy it here, or write the "
			"section database by hand",
			err.text);
	} else {
		inner.conf = &conf;
		inner.name = file;
		work(&inner, context);
		translate_rest(&inner);
		t->failed |= inner.failed;
	}
	dovecot_conf_finish(&conf);
	if (text)
		wipe(text, size);
	free(text);
}

/* The process that learns of logins, from the server's control socket; it connects again, for as
 * long as the service lives. For the files of this folder. */
#ifndef CLI_MIGRATE_FOLLOW_NEWS_H
#define CLI_MIGRATE_FOLLOW_NEWS_H

enum news {
	NEWS_LOGIN = 'L', /* of a user: the name, NUL, the section */
	NEWS_UP = 'U',    /* connected */
	NEWS_DOWN = 'D',  /* cannot be: why; it is tried again */
	NEWS_NEVER = 'N', /* the configuration has no such socket: why; the process ends */
};

/* For helper_start. argument: struct migrate_options. */
void news_run(const void *argument, int out);

#endif

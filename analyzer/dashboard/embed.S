/* PAGE and PAGE_GZIP are the paths of the built page. */
	.section .rodata
	.global dashboard_html_begin, dashboard_html_end
	.global dashboard_gzip_begin, dashboard_gzip_end
dashboard_html_begin:
	.incbin PAGE
dashboard_html_end:
dashboard_gzip_begin:
	.incbin PAGE_GZIP
dashboard_gzip_end:
	.section .note.GNU-stack, "", %progbits

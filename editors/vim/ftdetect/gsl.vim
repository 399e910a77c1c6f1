autocmd BufRead,BufNewFile *.gsl setfiletype gsl

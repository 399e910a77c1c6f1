if exists('b:did_ftplugin')
  finish
endif
let b:did_ftplugin = 1

setlocal expandtab shiftwidth=4 softtabstop=4
setlocal comments=:///,://!,:// commentstring=//\ %s
setlocal autoindent

" gq formats through the compiler; `:let g:gsl_fmt_on_save = 1` does it on every save.
setlocal formatprg=gsc\ fmt\ -

if get(g:, 'gsl_fmt_on_save', 0)
  augroup gsl_fmt
    autocmd! * <buffer>
    autocmd BufWritePost <buffer> silent execute '!gsc fmt ' . shellescape(expand('%')) | edit
  augroup END
endif

let b:undo_ftplugin = 'setlocal expandtab< shiftwidth< softtabstop< comments< commentstring< autoindent< formatprg<'

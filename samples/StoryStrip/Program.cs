using StorySync.Samples.StoryStrip;

return await StoryCommand.Create().Parse(args).InvokeAsync();

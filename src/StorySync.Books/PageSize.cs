namespace StorySync.Books;

/// <summary>Represents the size of a page after it has been cut, in millimeters.</summary>
/// <param name="Width">The width, from 30 to 1000.</param>
/// <param name="Height">The height, from 30 to 1000.</param>
public readonly record struct PageSize(double Width, double Height);
